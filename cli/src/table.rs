//! Columns for people: each as wide as its widest cell, the last one free.

use std::io::{self, Write};

/// Writes the rows, two blanks between the columns.
pub(crate) fn write<const N: usize>(out: &mut dyn Write, rows: &[[String; N]]) -> io::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let rows = [["a", "bcd", "x"], ["long", "é", ""]].map(|row| row.map(str::to_owned));
        let mut out = Vec::new();
        super::write(&mut out, &rows).expect("a vector takes all");
        assert_eq!(String::from_utf8_lossy(&out), "a     bcd  x\nlong  é\n");
    }
}
