//! The files for those who watch over servers fit what a server says.

use std::collections::BTreeSet;

use flowcore::reading::read_file;
use flowcore::{Source, Value};
use serde_json::Value as Json;

use crate::metrics::names;

const ALERTS: &str = include_str!("../../deploy/prometheus/alerts.yml");
const DASHBOARD: &str = include_str!("../../deploy/grafana/flow.json");
const PAGE: &str = include_str!("../../docs/metrics.md");

/// What follows the name of a metric in the names of its series.
fn series(name: &str, kind: &str) -> Vec<String> {
    let suffixes: &[&str] = match kind {
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_sum", "_count"],
        "info" => &["_info"],
        "gauge" => &[""],
        other => panic!("{name} is a {other}"),
    };
    suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect()
}

/// The series of Flow that an expression names.
fn named(expression: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !is_part(c));
    words.filter(|word| word.starts_with("flow_") || word.starts_with("process_")).collect()
}

/// All expressions are of series that a server has.
#[track_caller]
fn check(expressions: &[(String, String)]) {
    let there: BTreeSet<String> =
        names().iter().flat_map(|(name, kind)| series(name, kind)).collect();
    for (whose, expression) in expressions {
        for name in named(expression) {
            assert!(there.contains(name), "{whose}: there is no {name}");
        }
        let is_about_flow = !named(expression).is_empty() || expression.starts_with("up{");
        assert!(is_about_flow, "{whose}: {expression}");
        let opened = expression.matches(['(', '{', '[']).count();
        assert_eq!(opened, expression.matches([')', '}', ']']).count(), "{whose}: {expression}");
    }
}

/// Headings as links name them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn alerts_are_about_what_there_is_and_lead_to_what_to_do() {
    let source = Source::yaml("alerts.yml", ALERTS);
    let (rules, problems) = read_file(&source, |tree, _| {
        let groups = tree.get("groups").and_then(Value::as_array).unwrap();
        let rules = groups.iter().flat_map(|group| group.get("rules").unwrap().as_array().unwrap());
        rules.map(Value::to_json).collect::<Vec<Json>>()
    });
    assert!(problems.is_empty(), "{problems}");
    let rules = rules.unwrap();
    assert!(rules.len() >= 10, "{rules:?}");
    let text = |rule: &Json, pointer: &str| {
        let found = rule.pointer(pointer).and_then(Json::as_str);
        found.unwrap_or_else(|| panic!("no {pointer}: {rule}")).to_owned()
    };
    let (mut names, mut expressions) = (BTreeSet::new(), Vec::new());
    let anchors = anchors(PAGE);
    for rule in &rules {
        let name = text(rule, "/alert");
        let severity = text(rule, "/labels/severity");
        assert!(matches!(&*severity, "critical" | "warning" | "info"), "{name}: {severity}");
        assert!(!text(rule, "/annotations/summary").is_empty());
        let link = text(rule, "/annotations/runbook_url");
        let anchor = link.strip_prefix("docs/metrics.md#").unwrap_or_else(|| panic!("{link}"));
        assert!(anchors.contains(anchor), "{name}: no heading for {link}");
        assert_eq!(anchor, name.to_lowercase());
        expressions.push((name.clone(), text(rule, "/expr")));
        assert!(names.insert(name), "{rule}");
    }
    check(&expressions);
}

#[test]
fn the_dashboard_shows_what_there_is() {
    let dashboard: Json = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 10);
    let (mut ids, mut expressions) = (BTreeSet::new(), Vec::new());
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            expressions.push((title.to_owned(), target["expr"].as_str().unwrap().to_owned()));
        }
    }
    let variable = dashboard.pointer("/templating/list/1/query").unwrap().as_str().unwrap();
    expressions.push(("instance".to_owned(), variable.to_owned()));
    check(&expressions);
}
