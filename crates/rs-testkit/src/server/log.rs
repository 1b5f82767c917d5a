//! What a server wrote.

use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;

use super::Place;
use crate::error::Error;

/// Enough to see why a server ended, little enough for a test's failure message.
const LAST_LINES: usize = 30;

/// The file with all that a server writes, over all its restarts.
#[derive(Debug)]
pub(super) struct Log(PathBuf);

impl Log {
    pub(super) fn of(place: &Place) -> Self {
        Self(place.path("log"))
    }

    pub(super) fn open(&self) -> Result<File, Error> {
        let file = OpenOptions::new().create(true).append(true).open(&self.0);
        file.map_err(Error::os(format!("open {}", self.0.display())))
    }

    pub(super) fn text(&self) -> String {
        fs::read(&self.0)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    pub(super) fn last_lines(&self) -> String {
        let text = self.text();
        let lines: Vec<_> = text.lines().collect();
        match lines.len() {
            0 => "(it wrote nothing)".to_owned(),
            count => lines[count.saturating_sub(LAST_LINES)..].join("\n"),
        }
    }
}
