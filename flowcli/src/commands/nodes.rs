//! `flowcli nodes`: which node types there are.

use clap::ValueEnum;
use flowcore::{NodeDescriptor, NodeRegistry, nearest};

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::report::human::{BOLD, paint};
use crate::report::table::row_lines;
use crate::report::{json, node_page};
use crate::session::Session;

const EXAMPLES: &str = "Examples:
  flowcli nodes
  flowcli nodes transform
  flowcli nodes http.request
  flowcli nodes http.request --output json | jq .config_schema";

/// Lists the node types, or tells everything about one.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A node type, such as `http.request`, or a category, such as `http`.
    #[arg(value_name = "TYPE")]
    node_type: Option<String>,

    /// How to show them: as text, or as JSON with all schemas.
    #[arg(long, value_name = "FORM", default_value = "human")]
    output: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Human,
    /// For programs.
    Json,
}

/// Shows all node types, a category, or one.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let registry = session.node_types()?;
    let all: Vec<&NodeDescriptor> = registry.iter().map(|node| &*node.descriptor).collect();
    match args.node_type.as_deref() {
        None => show_list(args.output, session, &all)?,
        Some(name) => match registry.get(name) {
            Some(node) => show_one(args.output, session, &node.descriptor)?,
            None => {
                let category: Vec<_> = all.into_iter().filter(|one| one.category == name).collect();
                if category.is_empty() {
                    return Err(unknown(name, &registry));
                }
                show_list(args.output, session, &category)?;
            }
        },
    }
    Ok(ExitCode::Success)
}

fn show_one(form: Form, session: &mut Session, node: &NodeDescriptor) -> Result<(), CliError> {
    match form {
        Form::Human => {
            let page = node_page::render(node, session.output.text_width());
            session.output.text(&page)
        }
        Form::Json => json::write(&mut session.output, node),
    }
}

fn show_list(form: Form, session: &mut Session, all: &[&NodeDescriptor]) -> Result<(), CliError> {
    match form {
        Form::Human => {
            let text = list(all, session.output.list_width());
            session.output.text(&text)
        }
        Form::Json => json::write(&mut session.output, &all),
    }
}

/// By category, each with its summary.
fn list(all: &[&NodeDescriptor], width: usize) -> String {
    let mut sorted = all.to_vec();
    sorted.sort_by(|a, b| (&a.category, &a.node_type).cmp(&(&b.category, &b.node_type)));
    let rows = sorted.iter().map(|node| [paint(BOLD, &node.node_type), node.summary.to_string()]);
    let rows: Vec<_> = rows.collect();
    let mut text = String::new();
    let mut category = None;
    for (node, lines) in sorted.iter().zip(row_lines(&rows, width)) {
        if category.is_some_and(|last| last != &node.category) {
            text.push('\n');
        }
        category = Some(&node.category);
        lines.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    }
    text
}

fn unknown(name: &str, registry: &NodeRegistry) -> CliError {
    let descriptors = || registry.iter().map(|node| &node.descriptor);
    let names = descriptors().map(|one| &*one.node_type);
    let categories = descriptors().map(|one| &*one.category);
    let suggestion = nearest(name, names.chain(categories)).map(str::to_owned);
    CliError::UnknownNodeType { name: name.to_owned(), suggestion }
}
