//! `flowcli verify`: proves that a workflow survives a crash, wherever it comes.

use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{ArgAction, ValueEnum};
use flowcore::{Durability, Effect, Plan, Policy, SharedPlan};
use flowruntime::store::{MemoryStore, Store};
use flowruntime::{BlockingRuntime, StartError};

use super::how::can_ask;
use super::run::{check_workflow, collect_inputs, folder, unplaced};
use crate::duration;
use crate::error::CliError;
use crate::execution::inputs::{self, InputArg};
use crate::execution::interrupts::Interrupts;
use crate::execution::signals::{self, SignalArg};
use crate::execution::{secrets, shut_down};
use crate::exit_code::ExitCode;
use crate::report::human::{BOLD, clean, grouped, paint};
use crate::report::json;
use crate::session::Session;
use crate::settings::Verbosity;
use crate::source::{STDIN, read_workflow_file};
use crate::verify::report::{Dry, Report};
use crate::verify::site::SharedFiles;
use crate::verify::{Campaign, Ledger, Progress, Recording, Site, dry, real, run_twice};
use crate::workflows::{WorkflowFiles, WorkflowsArgs};

const EXAMPLES: &str = "Examples:
  flowcli verify order.json -i id=7
  flowcli verify order.json --dry order.test.json --case 'pays once'
  flowcli verify order.json --twice charge --yes";

/// Proves that a workflow survives a crash, wherever it comes.
///
/// It really runs once, as with `flowcli run`, and is recorded. Then it is crashed at every write of
/// its journal, in three ways, and goes on each time: in virtual time, with what was recorded instead
/// of real effects, while nodes that are `pure` run again and are compared. It must end once, with the
/// same result, and nothing that was finished may run again.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!(
    "{EXAMPLES}\n\nFindings end with exit code 1, and so does a run that cannot be verified."
))]
pub(crate) struct Args {
    /// A workflow file; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: String,

    /// An input, converted as the workflow declares it, or given as JSON.
    #[arg(short, long = "input", value_name = "NAME=VALUE|NAME:=JSON", value_parser = inputs::parse_arg)]
    #[arg(help_heading = "Inputs", conflicts_with = "dry")]
    inputs: Vec<InputArg>,

    /// A JSON object with inputs; `-` is standard input. `-i` goes before it.
    #[arg(long, value_name = "FILE", env = "FLOW_INPUTS_FILE", help_heading = "Inputs")]
    inputs_file: Option<String>,

    /// A signal or an approval, given in advance and kept until a node waits for it.
    #[arg(long = "signal", value_name = "NAME=JSON", value_parser = signals::parse_arg)]
    #[arg(help_heading = "Inputs", conflicts_with = "dry")]
    signals: Vec<SignalArg>,

    /// A file with secrets, as for `run`.
    #[arg(long, value_name = "FILE", env = "FLOW_SECRETS_FILE", help_heading = "Inputs")]
    secrets_file: Option<String>,

    /// Takes the outcomes of nodes, the inputs and the signals from a case of this test file, so that
    /// nothing real runs at all.
    #[arg(long, value_name = "FILE")]
    dry: Option<String>,

    /// The case of the test file, by its name; not needed if it has only one.
    #[arg(long, value_name = "NAME", requires = "dry")]
    case: Option<String>,

    /// Really runs this node a second time with the same idempotency key, and compares; asks first.
    #[arg(long, value_name = "NODE", conflicts_with = "dry")]
    twice: Option<String>,

    /// Does not ask whether the node of `--twice` may run a second time.
    #[arg(long, requires = "twice", action = ArgAction::SetTrue)]
    yes: bool,

    /// The most crashes; with more writes than that, they are spread evenly over them. 3,000 unless
    /// given, and fewer for a run of more than 100 events.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(3..))]
    crashes: Option<u32>,

    /// What goes to standard output: a report for people, or one JSON document.
    #[arg(long, value_name = "FORM", default_value = "human")]
    output: Form,

    /// The longest that the run may take that is really made, such as `30s` or `1h30m`.
    #[arg(long, value_name = "DURATION", env = "FLOW_TIMEOUT", value_parser = duration::parse_arg)]
    timeout: Option<duration::Given>,

    /// Where relative paths start; the folder of the workflow file unless given.
    #[arg(long, value_name = "DIR", env = "FLOW_WORKDIR")]
    workdir: Option<PathBuf>,

    #[command(flatten)]
    workflows: WorkflowsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Human,
    /// For programs.
    Json,
}

/// A run that was recorded.
struct Recorded {
    recording: Arc<Recording>,
    ledger: Ledger,
    dry: Option<Dry>,
    /// What nodes have opened lives here.
    tokio: Option<BlockingRuntime>,
}

/// Verifies the workflow.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    if args.file == STDIN && args.inputs_file.as_deref() == Some(STDIN) {
        return Err(CliError::StdinTwice);
    }
    let source = read_workflow_file(&args.file)?;
    let registry = session.registry();
    let files = WorkflowFiles::new(&source, &args.workflows);
    let Some((workflow, plan)) = check_workflow(session, &source, &registry, &files) else {
        return Ok(ExitCode::Invalid);
    };
    if workflow.settings.durability == Some(Durability::None) {
        return Err(CliError::NotKept);
    }
    let policy = Policy::allow_all(folder(&args.file, args.workdir.as_deref())?);
    let secrets = secrets::load(args.secrets_file.as_deref())?;
    let files = SharedFiles::new(files);
    let seen = |store: Arc<MemoryStore>| -> Arc<dyn Store> { store };
    let mut site = Site { registry, policy, secrets, workflow, files, seen };
    if let Some(node) = &args.twice {
        check_twice(&plan, node)?;
        if !args.yes && !may_run_twice(session, args, node)? {
            return Ok(ExitCode::Interrupted);
        }
    }
    let begun = Instant::now();
    let recorded = match &args.dry {
        Some(file) => record_dry(args, session, &mut site, &plan, file),
        None => record_real(args, session, &site, &plan),
    };
    match recorded {
        Ok(Ok(recorded)) => verify(args, session, &site, recorded, begun),
        Ok(Err(code)) => Ok(code),
        Err(CliError::Start(StartError::Inputs(found))) => {
            session.show_diagnostics(&source, &unplaced(&found));
            Ok(ExitCode::Invalid)
        }
        Err(error) => Err(error),
    }
}

fn record_real(
    args: &Args,
    session: &Session,
    site: &Site,
    plan: &Plan,
) -> Result<Result<Recorded, ExitCode>, CliError> {
    let file = args.inputs_file.as_deref();
    let Some(inputs) = collect_inputs(session, &site.workflow, file, &args.inputs)? else {
        return Ok(Err(ExitCode::Invalid));
    };
    let signals = signals::resolve(plan, &args.signals)?;
    let reads_stdin = args.file == STDIN || file == Some(STDIN);
    let how = real::How { inputs, signals, timeout: args.timeout.clone(), reads_stdin };
    let made = real::record(site, session, how)?;
    Ok(made.map(|made| {
        let real::Made { recording, ledger, tokio } = made;
        Recorded { recording, ledger, dry: None, tokio: Some(tokio) }
    }))
}

fn record_dry(
    args: &Args,
    session: &Session,
    site: &mut Site,
    plan: &SharedPlan,
    file: &str,
) -> Result<Result<Recorded, ExitCode>, CliError> {
    let case = dry::load(session, file, args.case.as_deref(), plan, &site.registry)?;
    let Some(case) = case else { return Ok(Err(ExitCode::Invalid)) };
    site.secrets = dry::secrets(&case);
    let (recording, ledger) = dry::record(site, &case)?;
    let dry = Some(Dry { file: file.to_owned(), case: case.name });
    Ok(Ok(Recorded { recording, ledger, dry, tokio: None }))
}

fn verify(
    args: &Args,
    session: &mut Session,
    site: &Site,
    recorded: Recorded,
    begun: Instant,
) -> Result<ExitCode, CliError> {
    let Recorded { recording, ledger, dry, tokio } = recorded;
    let interrupted = Interrupted::listen()?;
    let twice = args.twice.as_ref();
    let twice = twice.map(|node| run_twice(site, &recording, &ledger, node)).transpose()?;
    let most = match args.crashes {
        Some(most) => usize::try_from(most).unwrap_or(usize::MAX),
        None => most_crashes(recording.history.events.len()),
    };
    let campaign = Campaign::new(site, recording.clone(), &ledger, most)?;
    let writes = campaign.writes;
    if campaign.crashes() > 0 && session.settings.verbosity > Verbosity::Quiet {
        let text = format!("crashing it {} times …", grouped(campaign.crashes()));
        if !io::stderr().is_terminal() {
            session.output.message(&text);
        }
    }
    let mut picture = Picture::new(session);
    let verdict = campaign.run(|progress| {
        picture.show(progress);
        !interrupted.is_set()
    });
    picture.clear();
    if let Some(tokio) = tokio {
        shut_down(tokio);
    }
    let verdict = verdict?;
    if verdict.is_stopped {
        return Ok(ExitCode::Interrupted);
    }
    let step = verdict.points < writes && verdict.points > 0;
    let report = Report::new(&args.file, &recording, dry, twice, verdict, begun.elapsed());
    match args.output {
        Form::Json => json::write(&mut session.output, &report)?,
        Form::Human => {
            let width = session.output.text_width();
            session.output.text(&report.text(width))?;
            if step {
                session.note("`--crashes` tries more of them");
            }
        }
    }
    Ok(if report.sound { ExitCode::Success } else { ExitCode::Failed })
}

/// The most crashes of a run, unless said otherwise.
const MOST_CRASHES: usize = 3_000;

/// How many events all crashes together write: each crash writes all of them. It takes some seconds.
const MOST_EVENTS: usize = 300_000;

fn most_crashes(events: usize) -> usize {
    (MOST_EVENTS / events.max(1)).clamp(30, MOST_CRASHES)
}

/// Only a node that says that it may run again with the same key is run twice.
fn check_twice(plan: &Plan, address: &str) -> Result<(), CliError> {
    let node = plan.find_node(address).map_err(|error| CliError::UnknownNode {
        name: address.to_owned(),
        suggestion: error.suggestion,
    })?;
    let effect = plan.graph().node(node).effect();
    if effect != Effect::Idempotent {
        let effect = crate::verify::report::word(effect).to_owned();
        return Err(CliError::NotIdempotent { node: address.to_owned(), effect });
    }
    Ok(())
}

fn may_run_twice(session: &Session, args: &Args, node: &str) -> Result<bool, CliError> {
    let reads_stdin = args.file == STDIN || args.inputs_file.as_deref() == Some(STDIN);
    if !can_ask(reads_stdin) {
        return Err(CliError::NotAsked(node.to_owned()));
    }
    let messages = session.output.messages();
    let name = paint(BOLD, &clean(node));
    messages.ask(&format!(
        "{name} will really run twice, the second time with the same idempotency key. Go on? [y]es or \
         [n]o: "
    ));
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    messages.resume("");
    read.map_err(CliError::Runtime)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// How often the picture changes.
const FRAME: Duration = Duration::from_millis(66);

/// The cells of a bar.
const CELLS: usize = 30;

/// How far it is, on a terminal.
struct Picture<'a> {
    session: &'a Session,
    is_shown: bool,
    drawn_at: Option<Instant>,
}

impl<'a> Picture<'a> {
    fn new(session: &'a Session) -> Self {
        let moves = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let is_loud = session.settings.verbosity > Verbosity::Quiet;
        Self { session, is_shown: is_loud && moves && io::stderr().is_terminal(), drawn_at: None }
    }

    fn show(&mut self, progress: Progress) {
        if !self.is_shown || self.drawn_at.is_some_and(|at| at.elapsed() < FRAME) {
            return;
        }
        self.drawn_at = Some(Instant::now());
        let Progress { done, all, findings } = progress;
        let full = done * CELLS / all.max(1);
        let bar = format!("{}{}", "━".repeat(full), "╌".repeat(CELLS - full));
        let found = match findings {
            0 => String::new(),
            some => format!(", wrong in {}", grouped(some)),
        };
        let line = format!("{bar} {}/{} crashes{found}", grouped(done), grouped(all));
        self.session.output.messages().draw(vec![line]);
    }

    fn clear(&self) {
        if self.is_shown {
            self.session.output.messages().draw(Vec::new());
        }
    }
}

/// Whether somebody pressed Ctrl-C: since signals are listened to, they end the process no more.
struct Interrupted(Arc<AtomicBool>);

impl Interrupted {
    fn listen() -> Result<Self, CliError> {
        let is_set = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(CliError::Runtime)?;
        let flag = is_set.clone();
        let listen = move || {
            runtime.block_on(async {
                if let Ok(mut interrupts) = Interrupts::listen() {
                    interrupts.next().await;
                    flag.store(true, Ordering::Relaxed);
                }
            });
        };
        let thread = std::thread::Builder::new().name("flow-interrupts".to_owned()).spawn(listen);
        thread.map_err(CliError::Runtime)?;
        Ok(Self(is_set))
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
