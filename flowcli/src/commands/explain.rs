//! `flowcli explain`: what a code means.

use flowcore::nearest;

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::report::human::{BOLD, paint};
use crate::report::table::table;
use crate::session::Session;

/// The page that has a section for every code.
const PAGE: &str = include_str!("../../../docs/troubleshooting.md");

/// Explains the code of an error or warning: what it means, why it happens, how to fix it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The code, such as `workflow.cycle`; left out, lists all.
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

/// Prints the section of a code, or the list of all codes.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let text = match args.code.as_deref() {
        None => list(),
        Some(code) => {
            let section = sections().find(|section| section.code == code);
            render(&section.ok_or_else(|| unknown(code))?)
        }
    };
    session.output.text(&text)?;
    Ok(ExitCode::Success)
}

/// A section of the page.
pub(crate) struct Section {
    /// The code that it explains.
    pub(crate) code: &'static str,
    /// Markdown, without the heading.
    pub(crate) body: &'static str,
}

/// The sections of the page: each begins with `## ` and the code.
pub(crate) fn sections() -> impl Iterator<Item = Section> {
    PAGE.split("\n## ").skip(1).map(|section| {
        let (code, body) = section.split_once('\n').unwrap_or((section, ""));
        Section { code: code.trim(), body: body.trim() }
    })
}

fn unknown(code: &str) -> CliError {
    let suggestion = nearest(code, sections().map(|section| section.code)).map(str::to_owned);
    CliError::UnknownCode { name: code.to_owned(), suggestion }
}

/// Each code with the first sentence of its section.
fn list() -> String {
    let row = |section: Section| {
        let meaning = section.body.lines().next().unwrap_or_default();
        [paint(BOLD, section.code), meaning.to_owned()]
    };
    let rows: Vec<_> = sections().map(row).collect();
    table(&rows, usize::MAX).iter().fold(String::new(), |text, line| text + line + "\n")
}

/// Examples are indented instead of fenced.
fn render(section: &Section) -> String {
    let mut text = paint(BOLD, section.code) + "\n\n";
    let mut in_example = false;
    for line in section.body.lines() {
        if line.starts_with("```") {
            in_example = !in_example;
            continue;
        }
        let indent = if in_example { "    " } else { "" };
        text.push_str(format!("{indent}{line}").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_section_and_the_sections_are_sorted() {
        let sections: Vec<&str> = sections().map(|section| section.code).collect();
        assert!(sections.is_sorted_by(|a, b| a < b), "{sections:?}");
        let known: BTreeSet<&str> = sections.into_iter().collect();
        let codes = flowcore::CODES.iter().map(|code| code.code);
        let missing: Vec<&str> = codes.filter(|code| !known.contains(code)).collect();
        assert!(missing.is_empty(), "docs/troubleshooting.md has no section for {missing:?}");
    }

    #[test]
    fn every_section_begins_with_a_sentence() {
        for section in sections() {
            let first = section.body.lines().next().unwrap_or_default();
            assert!(first.ends_with('.'), "{}: {first}", section.code);
        }
    }
}
