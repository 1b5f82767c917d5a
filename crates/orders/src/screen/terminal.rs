use std::{
    io::{Read, Write, stdin, stdout},
    sync::Mutex,
};

use anyhow::Result;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

use crate::view::{Line, Tone};

/// The terminal as it was before, for whoever leaves it: also a panic.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The whole screen of the terminal, until this is dropped.
pub(super) struct Terminal;

impl Terminal {
    pub(super) fn enter() -> Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut modes = before.clone();
        // Keys come at once and are not shown. Ctrl-C stays a signal.
        modes
            .local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Now, &modes)?;
        *BEFORE
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(before);
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            hook(panic);
        }));
        let mut out = stdout();
        // The other screen, without a cursor.
        out.write_all(b"\x1b[?1049h\x1b[?25l\x1b[2J")?;
        out.flush()?;
        Ok(Self)
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (u16, u16) {
        match tcgetwinsize(stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
            _ => (80, 24),
        }
    }

    /// Draws over what is there, so that nothing flickers.
    pub(super) fn draw(&self, lines: &[Line], width: usize, height: usize) -> Result<()> {
        let mut frame = String::from("\x1b[H");
        for (row, line) in lines.iter().take(height).enumerate() {
            if row > 0 {
                frame.push_str("\r\n");
            }
            frame.push_str(&shown(line, width));
            frame.push_str("\x1b[K");
        }
        frame.push_str("\x1b[J");
        let mut out = stdout();
        out.write_all(frame.as_bytes())?;
        out.flush()?;
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    let before = BEFORE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .take();
    if let Some(before) = before {
        let mut out = stdout();
        let _ = out.write_all(b"\x1b[?25h\x1b[?1049l");
        let _ = out.flush();
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    }
}

/// A line in colours, as much of it as fits.
fn shown(line: &Line, width: usize) -> String {
    let (mut shown, mut left) = (String::new(), width);
    for (tone, text) in line {
        let piece: String = text.chars().take(left).collect();
        left -= piece.chars().count();
        let colour = match tone {
            Tone::Plain => "0",
            Tone::Quiet => "2",
            Tone::Good => "32",
            Tone::Doubtful => "33",
            Tone::Bad => "31",
        };
        shown.push_str(&format!("\x1b[{colour}m{piece}\x1b[0m"));
    }
    shown
}

/// Hands over the keys that are pressed, until nobody wants them.
pub(super) fn keys(pressed: &mpsc::Sender<char>) {
    let mut byte = [0];
    while let Ok(1) = stdin().read(&mut byte) {
        if pressed.blocking_send(char::from(byte[0])).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shown;
    use crate::view::Tone;

    #[test]
    fn lines_are_cut_where_the_screen_ends() {
        let line = vec![
            (Tone::Plain, "orders".to_owned()),
            (Tone::Bad, "failed".to_owned()),
        ];
        assert_eq!(shown(&line, 8), "\x1b[0morders\x1b[0m\x1b[31mfa\x1b[0m");
        assert_eq!(
            shown(&line, 0)
                .matches(|letter: char| "ordesfail".contains(letter))
                .count(),
            0
        );
    }
}
