//! Everything around the code: `cargo xtask help` lists the commands.
//!
//! This program compiles before anything else can happen, so it depends on two small crates and
//! calls heavy tools as separate programs.

mod args;
mod binaries;
mod commands;
mod counts;
mod invocation;
mod services;
mod stages;
mod stopwatch;
mod tidy;
mod tools;
mod workspace;

use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};

use crate::args::Args;
use crate::workspace::Workspace;

struct Command {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&Workspace, &mut Args) -> Result<ExitCode>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "test",
        arguments: "[--long] [-- ARGS]",
        about: "installs what is missing, then runs every test; ARGS go to the test runner",
        run: commands::test::run,
    },
    Command {
        name: "ci",
        arguments: "[--advisories]",
        about: "everything that must hold before a merge, tests included",
        run: commands::ci::run,
    },
    Command {
        name: "tidy",
        arguments: "",
        about: "checks the house rules that the compiler does not know, in a second",
        run: commands::tidy::run,
    },
    Command {
        name: "artefacts",
        arguments: "[--check]",
        about: "writes the files that are generated from code, or checks them",
        run: commands::artefacts::run,
    },
    Command {
        name: "bench",
        arguments: "[NAME] [--json] [--list] [-- --only TEXT]",
        about: "measures every crate beside its peers",
        run: commands::bench::run,
    },
    Command {
        name: "fuzz",
        arguments: "[TARGET] [--seconds N]",
        about: "rubbish into every decoder for a minute each; needs a nightly compiler",
        run: commands::fuzz::run,
    },
    Command {
        name: "demo",
        arguments: "[ARGS]",
        about: "starts the demo: all the patterns working together",
        run: commands::demo::run,
    },
    Command {
        name: "services",
        arguments: "install [--all|--kubernetes]|status",
        about: "the real servers that tests run against",
        run: commands::services::run,
    },
    Command {
        name: "release",
        arguments: "plan|prepare|publish",
        about: "what is to be released, its changelogs, its publishing (dry without --execute)",
        run: commands::release::run,
    },
];

fn main() -> ExitCode {
    dispatch().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn dispatch() -> Result<ExitCode> {
    let mut args = Args::from_env()?;
    let name = match args.positional() {
        Some(name) if name != "help" => name,
        _ => {
            print!("{}", help());
            return Ok(ExitCode::SUCCESS);
        }
    };
    let command = COMMANDS
        .iter()
        .find(|command| command.name == name)
        .ok_or_else(|| anyhow!("there is no command `{name}`; `cargo xtask help` lists them"))?;
    if args.flag("--help") {
        println!("cargo xtask {}\n  {}", usage(command), command.about);
        return Ok(ExitCode::SUCCESS);
    }
    let workspace = Workspace::load()?;
    std::env::set_current_dir(&workspace.root)
        .with_context(|| format!("cannot enter {}", workspace.root.display()))?;
    (command.run)(&workspace, &mut args)
}

fn usage(command: &Command) -> String {
    format!("{} {}", command.name, command.arguments)
        .trim_end()
        .to_owned()
}

fn help() -> String {
    let width = COMMANDS
        .iter()
        .map(|command| usage(command).len())
        .max()
        .unwrap_or(0);
    let line = |command: &Command| format!("  {:<width$}  {}\n", usage(command), command.about);
    format!(
        "cargo xtask COMMAND\n\n{}",
        COMMANDS.iter().map(line).collect::<String>()
    )
}
