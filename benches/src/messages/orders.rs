//! The messages: orders, and what is to become of them, computed without any engine.
//!
//! The program in `benches/dataflow` is built with this file, too.

use serde_json::{Value as Json, json};

/// The kind of every message; the rules are for no other.
pub const KIND: &str = "order";

/// An order: the JSON text that comes in.
pub fn text(number: u64) -> String {
    let (quantity, price) = amounts(number);
    format!(
        r#"{{"id": {number}, "first": "Ada", "last": "Lovelace", "country": "{}", "quantity": {quantity}, "price": {price}}}"#,
        country(number)
    )
}

/// The order when it has been through six mappings and three checks, which it passes.
pub fn expected(number: u64) -> Json {
    let (quantity, price) = amounts(number);
    let total = quantity * price;
    let discount = if total >= 1_000 { 100 } else { 0 };
    let size = if total >= 1_000 { "large" } else { "small" };
    json!({
        "id": number, "first": "Ada", "last": "Lovelace", "country": country(number),
        "quantity": quantity, "price": price,
        "total": total, "discount": discount, "net": total - discount, "name": "Ada Lovelace",
        "size": size, "label": format!("Ada Lovelace: {size}"),
    })
}

fn amounts(number: u64) -> (u64, u64) {
    (number % 20 + 1, number % 97 + 3)
}

fn country(number: u64) -> &'static str {
    ["DE", "FR", "IT"]
        [usize::from(number.is_multiple_of(2)) + usize::from(number.is_multiple_of(3))]
}
