//! Lets a [`ConfigError`] pass through serde whole.
//!
//! Whatever goes wrong inside a type's own `Deserialize` reaches the format as a text alone. While the
//! format writes that text down, a `ConfigError` that is being displayed says so here.

use std::{
    cell::{Cell, RefCell},
    fmt,
};

use crate::ConfigError;

thread_local! {
    static LISTENING: Cell<bool> = const { Cell::new(false) };
    static HEARD: RefCell<Option<ConfigError>> = const { RefCell::new(None) };
}

/// The error that this message is, if it is one and nothing else.
pub(super) fn error_in(message: &impl fmt::Display) -> Option<ConfigError> {
    LISTENING.set(true);
    let text = message.to_string();
    LISTENING.set(false);
    HEARD.take().filter(|error| error.to_string() == text)
}

pub(super) fn hear(error: &ConfigError) {
    if LISTENING.replace(false) {
        HEARD.replace(Some(error.clone()));
    }
}
