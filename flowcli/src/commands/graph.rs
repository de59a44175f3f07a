//! `flowcli graph`: a picture of a workflow.

use clap::ValueEnum;
use flowcore::drawing::Drawing;
use flowcore::{Limits, check_with};

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::report::human;
use crate::session::Session;
use crate::source::read_workflow_file;
use crate::workflows::{WorkflowFiles, WorkflowsArgs};

const EXAMPLES: &str = "Examples:
  flowcli graph workflow.json >> README.md
  flowcli graph workflow.json --format svg > workflow.svg
  flowcli graph workflow.json --format dot | dot -Tpdf > workflow.pdf";

/// Draws a workflow.
///
/// Connections that follow from expressions are dashed, those that leave the port `error` are red.
/// What stands inside of control nodes is drawn inside of them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A workflow file; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: String,

    /// What to draw it as.
    #[arg(long, value_name = "FORMAT", default_value = "mermaid")]
    format: Format,

    #[command(flatten)]
    workflows: WorkflowsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For Markdown: GitHub and GitLab draw it.
    Mermaid,
    /// For Graphviz.
    Dot,
    /// A picture that browsers show.
    Svg,
}

/// Draws a workflow that is valid.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let source = read_workflow_file(&args.file)?;
    let files = WorkflowFiles::new(&source, &args.workflows);
    let checked = check_with(&source, &session.registry(), &Limits::default(), Some(&files));
    let Some(plan) = checked.plan else {
        session.refuse(&source, &checked.diagnostics);
        return Ok(ExitCode::Invalid);
    };
    session.show_diagnostics(&source, &checked.diagnostics);
    let drawing = Drawing::new(&plan);
    let text = match args.format {
        Format::Mermaid => drawing.to_mermaid(),
        Format::Dot => drawing.to_dot(),
        Format::Svg => drawing.to_svg(),
    };
    let (edges, most) = (drawing.count_edges(), Drawing::MOST_IN_MERMAID);
    if args.format == Format::Mermaid && edges > most {
        session.note(&human::warning(&format!(
            "Mermaid draws at most {most} connections unless told otherwise, and this has {edges}; \
             `--format svg` has no limit"
        )));
    }
    session.output.data(&text)?;
    Ok(ExitCode::Success)
}
