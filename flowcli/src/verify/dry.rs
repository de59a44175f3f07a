//! A run whose outcomes come from a test file, so that nothing real happens.

use std::sync::Arc;

use flowcore::{NodeRegistry, Plan, Secrets};
use flowruntime::store::MemoryStore;
use flowruntime::testing::Pins;
use flowruntime::testing::crash::{Fault, Faulty, Sent};

use super::cast::Script;
use super::ledger::Ledger;
use super::real::{failed_with, waited_for};
use super::site::{Left, Order};
use super::{Recording, Site};
use crate::error::CliError;
use crate::session::Session;
use crate::source::read_workflow_file;
use crate::testing::file::Case;
use crate::testing::{check, codes};

/// The case of a test file that is meant: the one of this name, or the only one. Without it, what is
/// wrong with the file was shown.
pub(crate) fn load(
    session: &Session,
    name: &str,
    wanted: Option<&str>,
    plan: &Plan,
    registry: &NodeRegistry,
) -> Result<Option<Case>, CliError> {
    let source = read_workflow_file(name)?;
    let (file, mut found) = check::read(&source);
    let mut file = file.unwrap_or_default();
    found.extend(check::check(&source, &mut file, plan, registry));
    let found = check::in_order(found);
    if found.has_errors() {
        session.refuse(&source, &found);
        return Ok(None);
    }
    session.show_diagnostics(&source, &found);
    let names: Vec<String> = file.cases.iter().map(|case| case.name.clone()).collect();
    let is_wanted = |case: &Case| wanted.is_none_or(|wanted| case.name == wanted);
    let mut cases = file.cases.into_iter().filter(is_wanted);
    match (cases.next(), cases.next()) {
        (Some(case), None) => Ok(Some(case)),
        _ => Err(CliError::WhichCase(names)),
    }
}

/// The secrets that a case gives, which are none.
pub(crate) fn secrets(case: &Case) -> Secrets {
    Secrets::new(case.secrets.iter().cloned())
}

/// Runs a case, in virtual time, and records it.
pub(crate) fn record(site: &Site, case: &Case) -> Result<(Arc<Recording>, Ledger), CliError> {
    let pins = case.pins.iter().fold(Pins::new(), |pins, pin| {
        let attempts = pin.attempts.iter().map(|(stand_in, _)| stand_in.clone());
        pins.pin(pin.address.name.as_str(), attempts)
    });
    let mut signals: Vec<Sent> = case.signals.iter().map(|signal| sent(case, signal)).collect();
    signals.sort_by_key(|signal| signal.at);
    let flow = site.builder().build().expect("no limit is set");
    let id = flow.prepare(&site.workflow, case.inputs.clone())?.id();
    let order = Order { id, inputs: &case.inputs, at: case.now, signals: &signals };
    let (store, ledger) = (Arc::new(MemoryStore::new()), Ledger::default());
    let never = Faulty::new(Fault::DieBefore, usize::MAX);
    let script = Script::Pinned(Arc::new(pins));
    let (left, _) = site.first(store.clone(), &store, &never, (&script, &ledger), &order)?;
    let history = site.history(store, id)?;
    let history = history.ok_or_else(|| CliError::UnknownExecution(id.to_string()))?;
    let not_pinned = failed_with(&history, codes::NOT_PINNED);
    if !not_pinned.is_empty() {
        return Err(CliError::NotPinned(not_pinned));
    }
    match left {
        Left::Ended => {
            let recording = Recording::new(history).pinned(&ledger.starts());
            Ok((Arc::new(recording), ledger))
        }
        Left::TookTooLong => Err(CliError::TookTooLong("60s".to_owned())),
        Left::Stuck | Left::Died | Left::GivenUp(_) => {
            Err(CliError::NeverEnds(waited_for(&history)))
        }
    }
}

fn sent(case: &Case, signal: &crate::testing::file::Signal) -> Sent {
    Sent {
        name: signal.name.as_str().into(),
        key: signal.key.as_deref().map(Into::into),
        payload: signal.payload.clone(),
        at: case.now.after(signal.at),
    }
}
