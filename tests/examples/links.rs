//! Links in the pages lead somewhere.

use std::fs;

use super::pages::{fences, pages};
use super::support;

#[test]
fn links_lead_somewhere() {
    let root = support::path("");
    let more = ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "ARCHITECTURE.md"];
    let more = more.map(|page| (root.join(page), root.clone()));
    for (page, _) in pages().into_iter().chain(more) {
        let text = fs::read_to_string(&page).unwrap();
        let prose: String = fences(&text).0.concat();
        for link in prose.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link} does not exist", page.display());
            if !anchor.is_empty() {
                let target = fs::read_to_string(&target).unwrap();
                let found = target.lines().any(|line| anchor_of(line).as_deref() == Some(anchor));
                assert!(found, "{}: {link} has no such heading", page.display());
            }
        }
    }
}

/// The anchor of a heading, as forges make it.
fn anchor_of(line: &str) -> Option<String> {
    let title = line.trim_start_matches('#');
    let heading = title.len() < line.len() && title.starts_with(' ');
    let keep = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    heading.then(|| title.trim().chars().filter_map(keep).collect())
}
