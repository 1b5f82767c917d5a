//! The command line: flags anywhere before `--`, positionals in order, the rest passed on as it is.

use anyhow::{Result, anyhow, bail};

#[derive(Debug)]
pub(crate) struct Args {
    own: Vec<String>,
    passed_on: Vec<String>,
}

impl Args {
    pub(crate) fn from_env() -> Result<Self> {
        let args: Result<Vec<String>> = std::env::args_os()
            .skip(1)
            .map(|arg| {
                arg.into_string()
                    .map_err(|arg| anyhow!("argument {arg:?} is not UTF-8"))
            })
            .collect();
        Ok(Self::new(args?))
    }

    fn new(mut args: Vec<String>) -> Self {
        let passed_on = match args.iter().position(|arg| arg == "--") {
            Some(dashes) => {
                let rest = args.split_off(dashes);
                rest.into_iter().skip(1).collect()
            }
            None => Vec::new(),
        };
        Self {
            own: args,
            passed_on,
        }
    }

    /// Whether `name` was given; takes it.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.own.len();
        self.own.retain(|arg| arg != name);
        self.own.len() < before
    }

    /// What was written after `name`, if that was given; takes both.
    pub(crate) fn option(&mut self, name: &str) -> Result<Option<String>> {
        let Some(at) = self.own.iter().position(|arg| arg == name) else {
            return Ok(None);
        };
        self.own.remove(at);
        match self.own.get(at) {
            Some(_) => Ok(Some(self.own.remove(at))),
            None => bail!("`{name}` wants a value"),
        }
    }

    /// The next argument that is not a flag; takes it.
    pub(crate) fn positional(&mut self) -> Option<String> {
        let at = self.own.iter().position(|arg| !arg.starts_with('-'))?;
        Some(self.own.remove(at))
    }

    /// What came after `--`; takes it.
    pub(crate) fn passed_on(&mut self) -> Vec<String> {
        std::mem::take(&mut self.passed_on)
    }

    /// Everything that is left, for commands that only forward; takes it.
    pub(crate) fn everything(&mut self) -> Vec<String> {
        let mut all = std::mem::take(&mut self.own);
        all.append(&mut self.passed_on);
        all
    }

    /// Refuses what nobody took, so that a misspelt flag is not ignored.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.own.iter().chain(&self.passed_on).next() {
            Some(arg) => {
                bail!("`{arg}` means nothing here; `cargo xtask help` lists the arguments")
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Args;

    fn args(line: &str) -> Args {
        Args::new(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn takes_flags_positionals_and_the_rest() {
        let mut args = args("test --long name -- --long -E x");
        assert_eq!(args.positional().as_deref(), Some("test"));
        assert!(args.flag("--long"));
        assert!(
            !args.flag("--long"),
            "taken once; the one after `--` belongs to the runner"
        );
        assert_eq!(args.positional().as_deref(), Some("name"));
        assert_eq!(args.passed_on(), ["--long", "-E", "x"]);
        assert!(args.finish().is_ok());
    }

    #[test]
    fn refuses_what_nobody_took() {
        assert!(args("--lnog").finish().is_err());
        assert!(args("-- x").finish().is_err());
    }
}
