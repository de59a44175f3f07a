//! Columns of text.

use anstream::adapter::strip_str;

/// One line per row, with columns as wide as their widest cell; cells may have colours.
pub(crate) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> Vec<String> {
    let width = |cell: &String| strip_str(cell).to_string().chars().count();
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths).map(|(cell, widest)| {
            let gap = if widest == 0 { 0 } else { widest - width(cell) + 2 };
            format!("{cell}{}", " ".repeat(gap))
        });
        cells.collect::<String>().trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_ones_take_no_room() {
        let rows =
            [["a", "", "x"], ["\u{1b}[1mbcd\u{1b}[0m", "", ""]].map(|row| row.map(String::from));
        assert_eq!(table(&rows), ["a    x", "\u{1b}[1mbcd\u{1b}[0m"]);
    }
}
