//! The OpenAPI document says what there is.
//!
//! That each status in it can occur, and no other does, is for `statuses` to show.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::site::Site;

/// An operation of the document.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// The role that it needs; `None` is nothing.
    pub(crate) needs: Option<String>,
    pub(crate) has_body: bool,
    pub(crate) has_query: bool,
    pub(crate) statuses: BTreeSet<u16>,
    /// Whether it may answer with any other status.
    pub(crate) has_default: bool,
}

/// All operations of a server.
pub(crate) fn operations(site: &Site) -> Vec<Operation> {
    let document = site.bare("GET", "/openapi.json").send().expect(200).json();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let needs = operation.get("security").map(|_| {
                let text = operation["description"].as_str().unwrap();
                text.split('`').nth(1).unwrap().to_owned()
            });
            let parameters = operation["parameters"].as_array().unwrap();
            let responses = operation["responses"].as_object().unwrap();
            let statuses = responses.keys().filter(|status| *status != "default");
            all.push(Operation {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_ascii_uppercase(),
                path: path.clone(),
                needs,
                has_body: operation.get("requestBody").is_some(),
                has_query: parameters.iter().any(|parameter| parameter["in"] == "query"),
                statuses: statuses.map(|status| status.parse().unwrap()).collect(),
                has_default: responses.contains_key("default"),
            });
        }
    }
    all
}

#[test]
fn every_operation_has_a_name_a_summary_and_answers() {
    let site = Site::new();
    let document = site.bare("GET", "/openapi.json").send().expect(200).json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut names = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(!name.is_empty() && names.insert(name.to_owned()), "{method} {path}: {name}");
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{name}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                responses.keys().any(|status| status.starts_with('2') || status == "101"),
                "{name}"
            );
        }
    }
    assert!(names.len() >= 30, "{names:?}");
}

#[test]
fn every_reference_leads_somewhere() {
    let site = Site::new();
    let document = site.bare("GET", "/openapi.json").send().expect(200).json();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 20, "{}", references.len());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Json, references: &mut Vec<String>) {
    match value {
        Json::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member.as_str()) {
                    ("$ref", Some(reference)) => references.push(reference.to_owned()),
                    _ => collect(member, references),
                }
            }
        }
        Json::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
