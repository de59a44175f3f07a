//! The examples and the pages for users: every workflow in them runs here.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod approval;
mod cached;
mod call_a_workflow;
mod checked_order;
mod choose_a_branch;
mod cli_page;
mod control_errors;
mod control_flow;
mod control_nodes;
mod custom_node;
mod executed;
mod expressions;
mod fan_out_join;
mod first_answer;
mod flaky_command;
mod for_each;
mod http_orders;
mod links;
mod loop_over_pages;
mod pages;
mod race;
mod rate_limited;
mod saga;
mod scheduled;
mod sql_report;
mod status;
mod support;
mod switch;
mod terminal;
mod testing;
mod try_catch_finally;
mod weather_report;
mod webhook;
mod workflow_format;

use std::fs;
use std::path::PathBuf;

use support::Beside;

/// The folders of `examples/`.
fn folders() -> Vec<PathBuf> {
    let entries = fs::read_dir(support::path("examples")).unwrap();
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

#[test]
fn every_example_has_a_test() {
    let modules = include_str!("main.rs");
    for folder in folders() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let module = format!("\nmod {};\n", name.replace('-', "_"));
        assert!(modules.contains(&module), "examples/{name} has no module in tests/examples");
    }
}

#[test]
fn every_example_is_valid() {
    for folder in folders() {
        let mut files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let workflow = files.find(|path| path.file_stem().unwrap() == "workflow");
        let workflow = workflow.unwrap_or_else(|| panic!("{} has no workflow", folder.display()));
        let name = workflow.to_str().unwrap();
        let beside = Beside { folder, ..Beside::default() };
        support::check_valid(name, name, &fs::read_to_string(&workflow).unwrap(), &beside);
    }
}

#[test]
fn every_example_is_listed_and_described() {
    let list = fs::read_to_string(support::path("examples/README.md")).unwrap();
    for folder in folders() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(list.contains(&format!("({name}/")), "examples/README.md does not list {name}");
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(readme.starts_with("# "), "examples/{name}/README.md has no title");
    }
}
