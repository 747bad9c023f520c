//! A table with aligned columns, for people.

use std::fmt;

/// Rows of cells under a heading. Cells lose control characters, so that no stored text can play with a terminal.
pub struct Table {
    rows: Vec<Vec<String>>,
}

/// No cell is wider; what is cut ends in `…`.
const WIDEST: usize = 48;

impl Table {
    pub fn new(heading: &[&str]) -> Table {
        Table {
            rows: vec![heading.iter().map(|cell| (*cell).to_owned()).collect()],
        }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(
            cells
                .iter()
                .map(|cell| shorten(&clean(cell), WIDEST))
                .collect(),
        );
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|c| c.chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..columns)
            .map(|column| width(column).unwrap_or(0))
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Text without control characters and without marks that turn the reading order around.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}') {
                ' '
            } else {
                c
            }
        })
        .collect()
}

fn shorten(text: &str, widest: usize) -> String {
    if text.chars().count() <= widest {
        return text.to_owned();
    }
    text.chars().take(widest - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_are_tame() {
        let mut table = Table::new(&["ID", "NAME", "N"]);
        table.row(vec!["1".into(), "Zoë\u{1b}[2J".into(), "3".into()]);
        table.row(vec!["22".into(), "x".repeat(60), "4".into()]);
        let text = table.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("ID  NAME{}  N", " ".repeat(44)));
        assert_eq!(lines[1], format!("1   Zoë [2J{}  3", " ".repeat(41)));
        assert_eq!(lines[2], format!("22  {}…  4", "x".repeat(47)));
    }
}
