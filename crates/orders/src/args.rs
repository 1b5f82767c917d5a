//! The command line, by hand: a dozen flags need no library.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rs_patterns::core::{ConfigError, humane};

/// What there is, for whoever mistypes it.
const FLAGS: &[&str] = &[
    "--for",
    "--help",
    "--json",
    "--list-scenarios",
    "--metrics-port",
    "--port",
    "--quiet",
    "--rate",
    "--scenario",
    "--short",
];

pub(crate) const HELP: &str = "\
An order system that stays up while what it depends on does not.

  --rate N              orders a second, 200 unless told
  --for TIME            ends by itself: 30s, 5m
  --quiet               no screen
  --json                the last line is one JSON object
  --port N              the gateway's port, any free one unless told
  --metrics-port N      the port of /metrics, any free one unless told
  --scenario NAME|all   plays a story, and says whether its promises held
  --short               stories take only as long as they must
  --list-scenarios      names the stories

  do TARGET FAULT       from a second terminal: `do payments fail`; `do help` lists all
";

/// What the demo is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    /// Orders a second.
    pub(crate) rate: Option<f64>,
    pub(crate) length: Option<Duration>,
    pub(crate) quiet: bool,
    pub(crate) json: bool,
    pub(crate) port: u16,
    pub(crate) metrics_port: u16,
    pub(crate) scenario: Option<String>,
    pub(crate) short: bool,
    pub(crate) list_scenarios: bool,
    pub(crate) help: bool,
}

impl Options {
    pub(crate) fn parse(args: Vec<String>) -> Result<Self> {
        let mut args = Args(args);
        let options = Self {
            rate: args
                .value("--rate")?
                .map(|rate| parse_rate(&rate))
                .transpose()?,
            length: args
                .value("--for")?
                .map(|time| parse_length(&time))
                .transpose()?,
            quiet: args.flag("--quiet"),
            json: args.flag("--json"),
            port: args.port("--port")?,
            metrics_port: args.port("--metrics-port")?,
            scenario: args.value("--scenario")?,
            short: args.flag("--short"),
            list_scenarios: args.flag("--list-scenarios"),
            help: args.flag("--help") || args.flag("-h"),
        };
        match args.0.first() {
            Some(left) => {
                let problem = ConfigError::unknown("argument", left, FLAGS.iter().copied());
                bail!("{problem}")
            }
            None => Ok(options),
        }
    }
}

/// Flags that are taken out as they are asked for.
pub(crate) struct Args(pub(crate) Vec<String>);

impl Args {
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|arg| arg != name);
        self.0.len() < before
    }

    /// What stands behind the flag, or in it after `=`.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>> {
        if let Some(at) = self.0.iter().position(|arg| arg == name) {
            self.0.remove(at);
            if at == self.0.len() {
                bail!("{name}: nothing stands behind it");
            }
            return Ok(Some(self.0.remove(at)));
        }
        let joined = |arg: &String| {
            let (flag, value) = arg.split_once('=')?;
            (flag == name).then(|| value.to_owned())
        };
        let Some(at) = self.0.iter().position(|arg| joined(arg).is_some()) else {
            return Ok(None);
        };
        Ok(joined(&self.0.remove(at)))
    }

    pub(crate) fn port(&mut self, name: &str) -> Result<u16> {
        match self.value(name)? {
            None => Ok(0),
            Some(text) => text
                .parse()
                .with_context(|| format!("{name}: `{text}` is no port; allowed: 0 to 65535")),
        }
    }
}

pub(crate) fn parse_rate(text: &str) -> Result<f64> {
    match text.trim_end_matches("/s").parse::<f64>() {
        Ok(rate) if (0.0..=100_000.0).contains(&rate) && rate > 0.0 => Ok(rate),
        Ok(_) => {
            bail!("--rate: {text} is out of range; allowed: above 0, up to 100000 orders a second")
        }
        Err(_) => bail!("--rate: `{text}` is no number"),
    }
}

fn parse_length(text: &str) -> Result<Duration> {
    let length = humane::parse_duration(text).map_err(|error| anyhow::anyhow!("--for: {error}"))?;
    if length.is_zero() {
        bail!("--for: a demo of no time shows nothing");
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::Options;
    use std::time::Duration;

    fn options(line: &str) -> anyhow::Result<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned).collect())
    }

    #[track_caller]
    fn refused(line: &str, expected: &str) {
        let error = options(line).expect_err(line).to_string();
        assert!(error.contains(expected), "{line}: {error}");
    }

    #[test]
    fn reads_flags_in_any_order() {
        let options = options("--quiet --rate 500 --for=30s --json").unwrap();
        assert_eq!(options.rate, Some(500.0));
        assert_eq!(options.length, Some(Duration::from_secs(30)));
        assert!(options.quiet && options.json && !options.short);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        refused("--rate -5", "-5 is out of range");
        refused("--rate 0", "out of range");
        refused("--rate NaN", "out of range");
        refused("--rate fast", "`fast` is no number");
        refused("--rate", "nothing stands behind it");
        refused("--for soon", "--for");
        refused("--for 0s", "no time");
        refused("--port 70000", "is no port");
        refused("--qiet", "did you mean `--quiet`?");
        refused("payments", "unknown argument `payments`");
    }
}
