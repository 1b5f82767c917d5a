//! What is here.

use anyhow::Result;

use super::catalogue::{PROGRAMS, Program};

const HEAD: [&str; 4] = ["program", "version", "needed by", "found"];

/// Prints which programs are here, where and in which version.
pub(crate) fn status() -> Result<()> {
    let rows: Vec<_> = std::iter::once(HEAD.map(str::to_owned))
        .chain(PROGRAMS.iter().map(row))
        .collect();
    print!("{}", aligned(&rows));
    Ok(())
}

fn row(program: &Program) -> [String; 4] {
    let (version, found) = match program.find() {
        Some(file) => (
            program.version(&file).unwrap_or_else(|error| error),
            file.display().to_string(),
        ),
        None => ("-".to_owned(), format!("missing: {}", program.remedy())),
    };
    [
        program.name.to_owned(),
        version,
        program.needed_by.to_owned(),
        found,
    ]
}

fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let line: String = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}  "))
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["a", "bb"], ["ccc", "d"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "a    bb\nccc  d\n");
    }
}
