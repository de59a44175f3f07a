//! `docs/expressions.md`: every example gives the result that the page shows, and every filter, test
//! and function has a row.

use std::fs;

use flowcore::Value;
use flowcore::expression::{self, Expression, Roots};

use super::support;

fn page() -> String {
    fs::read_to_string(support::path("docs/expressions.md")).unwrap()
}

fn evaluate(text: &str) -> String {
    let inputs = value(r#"{"name": "ada", "limit": 3, "tags": ["b", "a"], "note": null}"#);
    let orders = r#"[{"id": 1, "price": 2.5, "paid": true}, {"id": 2, "price": 4, "paid": false}]"#;
    for shown in [inputs.to_json_text(), orders.to_owned()] {
        let plain = |text: &str| text.replace([' ', '\n'], "");
        assert!(plain(&page()).contains(&plain(&shown)), "the page does not name {shown}");
    }
    let nodes = value(&format!(r#"{{"shop": {{"orders": {orders}}}}}"#));
    let expression = Expression::compile(text, Roots::Names(&["inputs", "nodes"]))
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    let result = expression.evaluate_with(&[("inputs", &inputs), ("nodes", &nodes)]);
    let result = result.unwrap_or_else(|error| panic!("{text}: {error}"));
    result.to_json_text().replace('|', "\\|")
}

fn value(json: &str) -> Value {
    flowcore::value::read_json(json).unwrap()
}

/// The cells of a row of a table, as they are written.
fn cells(row: &str) -> Vec<&str> {
    let (mut cells, mut start) = (Vec::new(), 1);
    for (at, _) in row.match_indices('|').skip(1) {
        if !row[..at].ends_with('\\') {
            cells.push(row[start..at].trim());
            start = at + 1;
        }
    }
    cells
}

fn code(cell: &str) -> Option<String> {
    let inside = cell.strip_prefix('`')?.strip_suffix('`')?;
    Some(inside.replace("\\|", "|"))
}

/// The row with the result that its expression gives. `place` is the cell of the expression.
fn with_result(row: &str, place: usize) -> String {
    let cells = cells(row);
    let Some(text) = cells.get(place).and_then(|cell| code(cell)) else { return row.to_owned() };
    let result = format!("`{}`", evaluate(&text));
    let cells = cells.iter().enumerate();
    let cells = cells.map(|(index, cell)| if index == place + 1 { &result } else { *cell });
    let row: String = cells.map(|cell| format!("| {cell} ")).collect();
    row.replace("|  ", "| ") + "|"
}

#[test]
fn examples_give_the_results_that_are_shown() {
    let (old, mut new, mut section) = (page(), String::new(), "");
    for line in old.lines() {
        section = line.strip_prefix("## ").unwrap_or(section);
        let place = match section {
            "The language" => Some(0),
            "Filters" | "Tests" | "Functions" => Some(1),
            _ => None,
        };
        match place.filter(|_| line.starts_with('|')) {
            Some(place) => new.push_str(&with_result(line, place)),
            None => new.push_str(line),
        }
        new.push('\n');
    }
    if std::env::var_os("FLOW_UPDATE").is_some() {
        fs::write(support::path("docs/expressions.md"), &new).unwrap();
    }
    for (old, new) in page().lines().zip(new.lines()) {
        assert_eq!(old, new);
    }
}

#[test]
fn everything_that_can_be_called_has_a_row() {
    let page = page();
    for (section, names) in [
        ("Filters", expression::filters()),
        ("Tests", expression::tests()),
        ("Functions", expression::functions()),
    ] {
        let start = page.find(&format!("\n## {section}\n")).unwrap() + 4;
        let text = page[start..].split("\n## ").next().unwrap();
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        let mut shown: Vec<String> = rows.map(|row| code(cells(row)[0]).unwrap()).collect();
        let mut known: Vec<&str> = names.to_vec();
        shown.sort();
        known.sort_unstable();
        assert_eq!(shown, known, "{section}");
    }
}
