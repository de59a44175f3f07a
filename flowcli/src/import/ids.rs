//! Ids of Flow from any text.

use std::collections::HashSet;

use flowcore::{MAX_ID_LENGTH, check_id};

/// The ids of one workflow: no two are the same.
#[derive(Default)]
pub(super) struct Ids(HashSet<String>);

impl Ids {
    /// The text if it is an id that is free, else one that looks like it.
    pub(super) fn make(&mut self, text: &str) -> String {
        let wanted = plain(text);
        let mut id = wanted.clone();
        let mut number = 1;
        while !self.0.insert(id.clone()) {
            number += 1;
            let suffix = format!("-{number}");
            let kept: String = wanted.chars().take(MAX_ID_LENGTH - suffix.len()).collect();
            id = kept + &suffix;
        }
        id
    }
}

/// The text with `-` for every character that an id has not.
pub(super) fn plain(text: &str) -> String {
    if check_id(text).is_ok() {
        return text.to_owned();
    }
    let letter = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let id: String = text.chars().map(letter).take(MAX_ID_LENGTH).collect();
    if id.is_empty() { "unnamed".to_owned() } else { id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_valid_and_different() {
        let mut ids = Ids::default();
        assert_eq!(ids.make("node-1"), "node-1");
        assert_eq!(ids.make("node 1"), "node-1-2");
        assert_eq!(ids.make("node.1"), "node-1-3");
        assert_eq!(ids.make(""), "unnamed");
        let long = "é".repeat(300);
        for _ in 0..3 {
            assert!(check_id(&ids.make(&long)).is_ok());
        }
    }
}
