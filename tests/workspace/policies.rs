//! The policies of security have numbers, and each has a test whose name says it, or a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{CRATES, path, read, sources_below};

/// The page with those that have a reason instead.
const PAGE: &str = "docs/security-policies.md";

/// How many there are.
const LAST: u32 = 57;

/// Those that must be shown by a test.
fn must_be_shown(number: u32) -> bool {
    matches!(number, 1..=24 | 32..=37 | 46..=51)
}

/// The numbers that the names of tests in a source say: `s12_`, or `s12_s14_`.
fn numbers(source: &str) -> BTreeSet<u32> {
    let names = source.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
    let parts = names.flat_map(|name| name.split('_').map_while(number));
    parts.collect()
}

fn number(part: &str) -> Option<u32> {
    let digits = part.strip_prefix('s').filter(|digits| digits.len() == 2)?;
    digits.parse().ok()
}

/// The numbers of all tests.
fn shown() -> BTreeSet<u32> {
    let mut files = Vec::new();
    sources_below(&path("tests"), &mut files);
    for krate in CRATES {
        sources_below(&path(&format!("{krate}/src")), &mut files);
        let tests = path(&format!("{krate}/tests"));
        if tests.is_dir() {
            sources_below(&tests, &mut files);
        }
    }
    let all = files.iter().map(|file| numbers(&fs::read_to_string(file).unwrap()));
    all.flatten().collect()
}

/// The reasons of the page, by number: `| S39 | … |`, in its first table.
fn reasons() -> BTreeMap<u32, String> {
    let page = read(PAGE);
    let (table, _) = page.split_once("\n\nOther numbers").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| S")?.split_once(" | "));
    rows.map(|(number, reason)| {
        (number.parse().unwrap(), reason.trim_matches([' ', '|']).to_owned())
    })
    .collect()
}

#[test]
fn every_policy_has_a_test_or_a_reason() {
    let (shown, reasons) = (shown(), reasons());
    for number in 1..=LAST {
        let is_shown = shown.contains(&number);
        let has_reason = reasons.get(&number).is_some_and(|reason| !reason.is_empty());
        assert!(is_shown || has_reason, "S{number} has neither a test nor a reason in {PAGE}");
        assert!(!(is_shown && has_reason), "S{number} has a test; its reason in {PAGE} can go");
        assert!(is_shown || !must_be_shown(number), "S{number} has to have a test");
    }
    assert!(reasons.keys().all(|number| (1..=LAST).contains(number)), "{reasons:?}");
}

#[test]
fn names_say_numbers() {
    let source = "fn s12_s03_only() {} fn s7_no() {} fn set_s44() {} fn s123_() {} fn f25_s01() {}";
    assert_eq!(numbers(source), [3, 12].into());
}

#[test]
fn s54_no_crate_has_unsafe_code_and_panics_are_caught() {
    let root = read("Cargo.toml");
    assert!(root.contains("unsafe_code = \"forbid\""));
    assert!(!root.contains("panic = \"abort\""));
    for krate in CRATES {
        let manifest = read(&format!("{krate}/Cargo.toml"));
        let lints = manifest.split("[lints]").nth(1).unwrap_or_else(|| panic!("{krate}"));
        assert!(lints.trim_start().starts_with("workspace = true"), "{krate}");
    }
}
