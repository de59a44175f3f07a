//! Columns of text.

use anstream::adapter::strip_str;

/// The least width that the last column is wrapped to.
const LEAST_LAST: usize = 24;

/// The lines of all rows under each other, with columns as wide as their widest cell. Cells may have
/// colours, but for the last, which is wrapped so that lines are at most `width` wide.
pub(crate) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]], width: usize) -> Vec<String> {
    row_lines(rows, width).into_iter().flatten().collect()
}

/// As [`table`], with the lines of each row apart.
pub(crate) fn row_lines<const COLUMNS: usize>(
    rows: &[[String; COLUMNS]],
    width: usize,
) -> Vec<Vec<String>> {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = letters(cell).max(*widest);
        }
    }
    let first = &widths[..COLUMNS - 1];
    let indent: usize = first.iter().filter(|widest| **widest > 0).map(|widest| widest + 2).sum();
    let last_width = width.saturating_sub(indent).max(LEAST_LAST);
    let lines = |row: &[String; COLUMNS]| {
        let cells = row[..COLUMNS - 1].iter().zip(first).filter(|(_, widest)| **widest > 0);
        let start: String = cells.map(|(cell, widest)| pad(cell, widest + 2)).collect();
        let rest = wrap(&row[COLUMNS - 1], last_width);
        let mut lines: Vec<String> = rest.iter().map(|line| " ".repeat(indent) + line).collect();
        let line = start + rest.first().map_or("", String::as_str);
        lines.splice(..lines.len().min(1), [line.trim_end().to_owned()]);
        lines
    };
    rows.iter().map(lines).collect()
}

fn letters(cell: &str) -> usize {
    strip_str(cell).to_string().chars().count()
}

fn pad(cell: &str, width: usize) -> String {
    cell.to_owned() + &" ".repeat(width - letters(cell))
}

/// Breaks a text that is too wide between words; a word that is too long has a line of its own.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    if !text.is_empty() && text.chars().count() <= width {
        return vec![text.to_owned()];
    }
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_ones_take_no_room() {
        let rows = [["a", "", "x"], ["\u{1b}[1mbcd\u{1b}[0m", "", ""]];
        let rows = rows.map(|row| row.map(String::from));
        assert_eq!(table(&rows, 80), ["a    x", "\u{1b}[1mbcd\u{1b}[0m"]);
    }

    #[test]
    fn the_last_column_is_wrapped() {
        let text = "one two three four five six seven";
        let rows = [["name".to_owned(), text.to_owned()]];
        let expected = ["name  one two three four five", "      six seven"];
        assert_eq!(table(&rows, 30), expected);
        assert_eq!(wrap("", 10), [] as [&str; 0]);
        assert_eq!(wrap("aaaaaaaaaaaa b", 5), ["aaaaaaaaaaaa", "b"]);
    }
}
