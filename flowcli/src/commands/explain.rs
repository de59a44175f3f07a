//! `flowcli explain`: what a code means.

use flowcore::nearest;

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::report::human::{BOLD, paint};
use crate::report::table::table;
use crate::session::Session;

/// What the last part of a section begins with.
const FIX: &str = "**Fix:**";

/// The page that has a section for every code.
const PAGE: &str = include_str!("../../../docs/troubleshooting.md");

const EXAMPLES: &str = "Examples:
  flowcli explain workflow.cycle
  flowcli explain http
  flowcli explain | grep timed_out";

/// Explains the code of an error or warning: what it means, why it happens, how to fix it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A code, such as `workflow.cycle`, or its first part, which lists the codes that begin so; left
    /// out, lists all.
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

/// Prints the section of a code, or the list of all codes.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let text = match args.code.as_deref() {
        None => list(session, sections()),
        Some(name) => match sections().find(|section| section.code == name) {
            Some(section) => render(&section),
            None => list_area(session, name).ok_or_else(|| unknown(name))?,
        },
    };
    session.output.text(&text)?;
    Ok(ExitCode::Success)
}

/// The codes that begin with this part.
fn list_area(session: &Session, area: &str) -> Option<String> {
    let mut found = sections().filter(|section| section.area() == area).peekable();
    found.peek()?;
    Some(list(session, found))
}

/// A section of the page.
pub(crate) struct Section {
    /// The code that it explains.
    pub(crate) code: &'static str,
    /// Markdown, without the heading.
    pub(crate) body: &'static str,
}

impl Section {
    /// The first part of the code.
    fn area(&self) -> &'static str {
        self.code.split('.').next().unwrap_or(self.code)
    }
}

/// The sections of the page: each begins with `## ` and the code.
pub(crate) fn sections() -> impl Iterator<Item = Section> {
    PAGE.split("\n## ").skip(1).map(|section| {
        let (code, body) = section.split_once('\n').unwrap_or((section, ""));
        Section { code: code.trim(), body: body.trim() }
    })
}

fn unknown(code: &str) -> CliError {
    let names = sections().flat_map(|section| [section.code, section.area()]);
    let suggestion = nearest(code, names).map(str::to_owned);
    CliError::UnknownCode { name: code.to_owned(), suggestion }
}

/// Each code with the first sentence of its section.
fn list(session: &Session, sections: impl Iterator<Item = Section>) -> String {
    let row = |section: Section| {
        let meaning = section.body.lines().next().unwrap_or_default();
        [paint(BOLD, section.code), meaning.to_owned()]
    };
    let rows: Vec<_> = sections.map(row).collect();
    let lines = table(&rows, session.output.list_width());
    lines.iter().fold(String::new(), |text, line| text + line + "\n")
}

/// Examples are indented instead of fenced, and `**Fix:**` is bold.
fn render(section: &Section) -> String {
    let mut text = paint(BOLD, section.code) + "\n\n";
    let mut in_example = false;
    for line in section.body.lines() {
        if line.starts_with("```") {
            in_example = !in_example;
            continue;
        }
        let line = match line.strip_prefix(FIX).filter(|_| !in_example) {
            Some(rest) => paint(BOLD, "Fix:") + rest,
            None => line.to_owned(),
        };
        let indent = if in_example { "    " } else { "" };
        text.push_str(format!("{indent}{line}").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Texts of the sources that look like codes.
    const NOT_CODES: [&str; 14] = [
        "a.csv",
        "execution.id",
        "execution.nothing",
        "http.reqest",
        "item.a",
        "item.items",
        "item.name",
        "inputs.a",
        "inputs.b",
        "inputs.limit",
        "inputs.name",
        "inputs.x",
        "workflow.call",
        "workflow.json",
    ];

    fn collect(folder: &Path, texts: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, texts);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                texts.extend(text.split('"').filter(|text| has_form(text)).map(str::to_owned));
            }
        }
    }

    fn has_form(text: &str) -> bool {
        let is_name = |part: &str| {
            let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            part.starts_with(|c: char| c.is_ascii_lowercase()) && part.bytes().all(letter)
        };
        text.split_once('.').is_some_and(|(family, name)| is_name(family) && is_name(name))
    }

    /// The codes in the sources of all crates: texts of the form of a code, of a family that has
    /// codes, that name no node type.
    fn codes_in_use() -> BTreeSet<String> {
        let mut texts = BTreeSet::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for name in ["flowcore", "flowruntime", "flowstore", "flownodes", "flowcli"] {
            collect(&root.join(name).join("src"), &mut texts);
        }
        let families: BTreeSet<&str> =
            sections().filter_map(|section| Some(section.code.split_once('.')?.0)).collect();
        let mut registry = flowcore::NodeRegistry::new();
        flownodes::register_all(&mut registry);
        texts.retain(|text| {
            let family = text.split_once('.').map_or("", |(family, _)| family);
            let is_name = registry.get(text).is_some() || NOT_CODES.contains(&text.as_str());
            families.contains(family) && !is_name
        });
        texts
    }

    #[test]
    fn every_code_has_a_section_and_every_section_a_code() {
        let sections: Vec<&str> = sections().map(|section| section.code).collect();
        assert!(sections.is_sorted_by(|a, b| a < b), "{sections:?}");
        let known: BTreeSet<String> = sections.into_iter().map(str::to_owned).collect();
        let codes = flowcore::CODES.iter().map(|code| code.code.to_owned());
        let used: BTreeSet<String> = codes.chain(codes_in_use()).collect();
        let missing: Vec<_> = used.difference(&known).collect();
        assert!(missing.is_empty(), "docs/troubleshooting.md has no section for {missing:?}");
        let unused: Vec<_> = known.difference(&used).collect();
        assert!(unused.is_empty(), "nothing gives {unused:?}");
    }

    #[test]
    fn every_section_begins_with_a_sentence() {
        for section in sections() {
            let first = section.body.lines().next().unwrap_or_default();
            assert!(first.ends_with('.'), "{}: {first}", section.code);
        }
    }
}
