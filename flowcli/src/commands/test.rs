//! `flowcli test`: runs the tests of workflows.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use flowcore::{
    Checked, Diagnostics, Limits, NodeIndex, NodeRegistry, Policy, SharedPlan, Source, Workflow,
    check_with,
};
use serde::Serialize;

use crate::duration;
use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::report::human::{chain, clean, count, error};
use crate::report::json;
use crate::session::Session;
use crate::settings::Verbosity;
use crate::source::{folder_of, read_workflow_file};
use crate::testing::file::{Case, TestFile};
use crate::testing::report::{CaseReport, FileReport};
use crate::testing::stage::{Ending, Stage};
use crate::testing::{check, coverage, find, junit, stage};
use crate::workflows::{WorkflowFiles, WorkflowsArgs};

const EXAMPLES: &str = "Examples:
  flowcli test
  flowcli test orders/workflow.test.json --filter refund
  flowcli test workflows --junit report.xml";

/// Runs the tests of workflows, in virtual time and with stand-ins for nodes.
///
/// A test file, such as `workflow.test.json` beside `workflow.json`, has cases: what an execution is
/// given, what its nodes give, and what is to come of it. Waits of days pass at once, and what would
/// touch the world is pinned or refused.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!(
    "{EXAMPLES}\n\nA case that fails ends with exit code 1, a file that cannot be read as a test \
     with 3; when files end differently, the highest exit code counts."
))]
pub(crate) struct Args {
    /// Test files, and folders that are searched for `*.test.json`, `*.test.yaml` and `*.test.yml`.
    #[arg(value_name = "FILE|DIR", default_value = ".")]
    files: Vec<String>,

    /// Runs only the cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// Lists the cases and runs none.
    #[arg(long)]
    list: bool,

    /// How to report: lines for people, or one JSON document.
    #[arg(long, value_name = "FORM", default_value = "human")]
    output: Form,

    /// Also writes a report in JUnit's form, which build servers read.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// The longest that a case may really take, whatever its virtual time.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse_arg)]
    timeout: duration::Given,

    #[command(flatten)]
    workflows: WorkflowsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Human,
    /// For programs: an object with an entry for each file.
    Json,
}

/// The report for programs.
#[derive(Serialize)]
struct Report<'a> {
    passed: usize,
    failed: usize,
    files: &'a [FileReport],
}

/// A test file that can be run.
struct Loaded {
    file: TestFile,
    plan: SharedPlan,
    workflow: Workflow,
    /// The file of the workflow.
    source: Source,
}

/// Runs every file; one that cannot be run does not hide the others.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let names = find::test_files(&args.files)?;
    let registry = session.registry();
    let begun = Instant::now();
    let mut worst = ExitCode::Success;
    let mut reports = Vec::new();
    for name in &names {
        let (report, code) = match run_file(args, session, &registry, name) {
            Ok(done) => done,
            Err(failed) => {
                session.output.message(&error(&failed));
                let problem = Some(format!("{} [{}]", chain(&failed), failed.code()));
                (FileReport { error: problem, ..empty(name) }, failed.exit_code())
            }
        };
        worst = worst.max(code);
        reports.push(report);
        if worst == ExitCode::Interrupted {
            break;
        }
    }
    let cases = || reports.iter().flat_map(|report| &report.cases);
    if worst == ExitCode::Success && cases().next().is_none() {
        let filter = args.filter.clone().unwrap_or_default();
        return Err(CliError::NoMatchingCase(filter));
    }
    if args.list {
        return Ok(worst);
    }
    let passed = cases().filter(|case| case.passed).count();
    let failed = cases().count() - passed;
    match args.output {
        Form::Json => {
            json::write(&mut session.output, &Report { passed, failed, files: &reports })?
        }
        Form::Human => {
            let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
            let broken = reports.iter().filter(|report| !report.can_run()).count();
            let broken = match broken {
                0 => String::new(),
                some => format!(", {} not run", count(some, "file")),
            };
            let took = duration::show(begun.elapsed());
            session.output.text(&format!("{passed} passed{failed}{broken} in {took}\n"))?;
        }
    }
    if let Some(path) = &args.junit {
        let unwritable = |source| CliError::Write { path: path.clone(), source };
        fs::write(path, junit::document(&reports)).map_err(unwritable)?;
    }
    Ok(worst)
}

fn empty(name: &str) -> FileReport {
    FileReport {
        file: name.to_owned(),
        cases: Vec::new(),
        diagnostics: Diagnostics::new(),
        not_run: None,
        error: None,
    }
}

fn run_file(
    args: &Args,
    session: &mut Session,
    registry: &NodeRegistry,
    name: &str,
) -> Result<(FileReport, ExitCode), CliError> {
    let source = read_workflow_file(name)?;
    let (loaded, diagnostics) = load(args, session, registry, &source)?;
    let mut report = FileReport { diagnostics, ..empty(name) };
    let Some(loaded) = loaded else { return Ok((report, ExitCode::Invalid)) };
    let is_wanted =
        |case: &&Case| args.filter.as_ref().is_none_or(|text| case.name.contains(text.as_str()));
    let cases: Vec<&Case> = loaded.file.cases.iter().filter(is_wanted).collect();
    let is_human = args.output == Form::Human;
    if is_human && !cases.is_empty() {
        session.output.text(&format!("{}\n", clean(name)))?;
    }
    let mut code = ExitCode::Success;
    let mut nodes: HashSet<NodeIndex> = HashSet::new();
    for case in &cases {
        if args.list {
            session.output.text(&format!("  {}\n", clean(&case.name)))?;
            report.cases.push(CaseReport::listed(case));
            continue;
        }
        let begun = Instant::now();
        let ran = stage::run(stage_of(args, registry, &loaded)?, case)?;
        let done = CaseReport::new(case, &ran, begun.elapsed());
        if is_human && (!done.passed || session.settings.verbosity > Verbosity::Quiet) {
            session.output.text(&done.text())?;
            session.output.flush()?;
        }
        nodes.extend(&ran.nodes);
        if !done.passed {
            code = code.max(ExitCode::Failed);
        }
        report.cases.push(done);
        if matches!(ran.ending, Ending::Interrupted) {
            return Ok((report, ExitCode::Interrupted));
        }
    }
    if !args.list && cases.len() == loaded.file.cases.len() {
        let missed = coverage::not_run(&loaded.plan, &nodes);
        if is_human && !missed.is_empty() && session.settings.verbosity > Verbosity::Quiet {
            session.output.text(&format!("  no case ran {}\n", named(&missed)))?;
        }
        report.not_run = Some(missed);
    }
    Ok((report, code))
}

/// How many addresses are listed.
const MOST_LISTED: usize = 10;

fn named(addresses: &[String]) -> String {
    let shown = addresses.iter().take(MOST_LISTED).map(|address| format!("`{address}`"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match addresses.len().saturating_sub(MOST_LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Reads a test file and its workflow; shows what is wrong with either.
fn load(
    args: &Args,
    session: &Session,
    registry: &NodeRegistry,
    source: &Source,
) -> Result<(Option<Loaded>, Diagnostics), CliError> {
    let is_human = args.output == Form::Human;
    let (file, mut found) = check::read(source);
    let named = file.as_ref().and_then(|file| file.workflow.as_deref());
    let workflow = find::workflow_of(source.name(), named);
    let mut checked = None;
    if file.is_some() {
        // What is wrong with the test file is said even if its workflow cannot be used.
        let its_source = read_workflow_file(&workflow).inspect_err(|_| {
            if is_human && found.has_errors() {
                session.refuse(source, &found);
            }
        })?;
        let files = WorkflowFiles::new(&its_source, &args.workflows);
        let Checked { workflow, plan, diagnostics, .. } =
            check_with(&its_source, registry, &Limits::default(), Some(&files));
        if diagnostics.has_errors() {
            if is_human {
                session.refuse(&its_source, &diagnostics);
                if found.has_errors() {
                    session.refuse(source, &found);
                }
            }
            found.extend(diagnostics);
            return Ok((None, found));
        }
        checked = workflow.zip(plan).map(|(workflow, plan)| (workflow, plan, its_source));
    }
    let mut loaded = None;
    if let (Some(mut file), Some((workflow, plan, its_source))) = (file, checked) {
        found.extend(check::check(source, &mut file, &plan, registry));
        loaded = Some(Loaded { file, plan, workflow, source: its_source });
    }
    let found = check::in_order(found);
    if found.has_errors() {
        if is_human {
            session.refuse(source, &found);
        }
        loaded = None;
    }
    Ok((loaded, found))
}

fn stage_of<'a>(
    args: &Args,
    registry: &'a NodeRegistry,
    loaded: &'a Loaded,
) -> Result<Stage<'a>, CliError> {
    let limit: Duration = args.timeout.duration;
    Ok(Stage {
        registry,
        policy: Policy::allow_all(folder_of(loaded.source.name())?),
        workflow: &loaded.workflow,
        files: WorkflowFiles::new(&loaded.source, &args.workflows),
        limit,
    })
}
