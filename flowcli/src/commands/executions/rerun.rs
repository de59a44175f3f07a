//! `flowcli executions rerun`: runs an execution again.

use flowruntime::FlowRuntime;
use flowstore::Access;
use serde_json::json;

use crate::commands::how::{Accepted, HowArgs, Run};
use crate::error::CliError;
use crate::execution::Begin;
use crate::exit_code::ExitCode;
use crate::place::Executions;
use crate::server::{Ask, Server};
use crate::session::Session;
use crate::source::absolute;
use crate::store::{IdArg, StoreArgs, parse_id};

const EXAMPLES: &str = "Examples:
  flowcli executions rerun 019a2b3c
  flowcli executions rerun 019a2b3c --from send";

/// Runs an execution again, as a new one: the workflow as it was then, with the same inputs.
///
/// The earlier execution stays as it is, whatever became of it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The execution: its id, or the beginning of it.
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: IdArg,

    /// Runs only from this node on: what succeeded and does not follow from it keeps its results.
    #[arg(long, value_name = "NODE")]
    from: Option<String>,

    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    how: HowArgs,
}

pub(super) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    if let Some(server) = session.connect()? {
        return rerun_there(args, session, server);
    }
    let open = args.store.open(Access::Execute)?;
    let of = open.find(&args.id)?;
    let (tokio, builder, address) = open.execute(FlowRuntime::builder(), &session.program);
    // Relative paths start where they did, which the store knows.
    let policy = args.how.policy(&absolute(std::path::Path::new(""))?);
    let builder = builder.registry(session.registry()).policy(policy);
    let flow = builder.secrets(args.how.secrets()?).build().expect("no limit is set");
    let prepared = tokio.block_on(flow.prepare_rerun(of, args.from.as_deref()))?;
    let plan = prepared.plan().clone();
    let begin = Begin::New(Box::new(args.how.prepare(prepared)));
    let run = Run { begin, plan, kept: Some(address), reads_stdin: false };
    args.how.execute(session, tokio, flow, run)
}

fn rerun_there(args: &Args, session: &mut Session, server: Server) -> Result<ExitCode, CliError> {
    args.how.check_for_server(session)?;
    let place: &dyn Executions = &server;
    let of = place.find(&args.id)?.id.to_string();
    let body = json!({ "from": args.from }).to_string();
    let interrupts = server.interrupts()?;
    let accepted: Accepted = server.ask(Ask::post(["executions", &of, "rerun"], body))?.read()?;
    args.how.follow(session, server, accepted.id, interrupts, false)
}
