//! Lines for whoever reads them, as long as somebody does: `orders --list-scenarios | head -1`.

use std::{
    fmt::Arguments,
    io::{ErrorKind, Write, stdout},
};

/// As `println!`, and ends the program when nobody reads any more, instead of a panic.
macro_rules! say {
    ($($piece:tt)*) => {
        $crate::say::line(format_args!($($piece)*))
    };
}
pub(crate) use say;

pub(crate) fn line(line: Arguments<'_>) {
    let mut out = stdout().lock();
    let said = writeln!(out, "{line}").and_then(|()| out.flush());
    if said.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        // The status of a program that SIGPIPE ends; the keeper sees to the processes.
        std::process::exit(128 + 13);
    }
}
