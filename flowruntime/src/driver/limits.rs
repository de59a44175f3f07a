//! Limits of what is kept: how large an output may be, and how large a history.

use flowcore::machine::{Fact, Outcome};
use flowcore::{NodeError, Value};

use super::ledger::Ledger;
use super::{DriveError, Driver};

/// How many bytes of outputs may wait for the journal while inline nodes run. More is handed on at once,
/// so that a history that grows fast is not far beyond its limit before anybody looks.
const HELD_BYTES: u64 = 8 << 20;

impl Driver {
    /// An attempt has failed whose outputs, or what it wrote to the state, are too large to be kept.
    pub(super) fn keepable(&mut self, outcome: Outcome) -> Outcome {
        let (Ledger::Store(_), Outcome::Succeeded { outputs, state_writes, .. }) =
            (&self.ledger, &outcome)
        else {
            return outcome;
        };
        let max = self.shared.limits.max_output_bytes.unwrap_or(u64::MAX);
        let outputs = outputs.iter().map(|(name, value)| ("the output", name, value));
        let writes = state_writes.iter().map(|(name, value)| ("the state", &**name, value));
        for (what, name, value) in outputs.chain(writes) {
            let bytes = size(value);
            if bytes > max {
                return Outcome::Failed(too_large(what, name, bytes, max));
            }
            self.held_bytes += bytes;
        }
        outcome
    }

    /// Whether much is held back that the journal should get.
    pub(super) fn holds_much(&self) -> bool {
        self.outbox.len() >= super::EVENTS_PER_FLUSH || self.held_bytes >= HELD_BYTES
    }

    /// Tells the machine how large the history has become, when it wants to know; gives whether it was
    /// told.
    pub(super) fn tell_size(&mut self) -> Result<bool, DriveError> {
        let bytes = self.ledger.history_bytes();
        if bytes == self.told_bytes || !self.machine.heeds_size(bytes) {
            return Ok(false);
        }
        self.told_bytes = bytes;
        self.handle(Fact::HistoryGrew { bytes })?;
        Ok(true)
    }
}

fn size(value: &Value) -> u64 {
    value.approximate_size() as u64
}

fn too_large(what: &str, name: &str, bytes: u64, max: u64) -> NodeError {
    let message = format!("{what} `{name}` has about {bytes} bytes, and at most {max} can be kept");
    NodeError::new("output.too_large", message).with_hint(
        "leave what is large where it is and pass on where that is; the limit is the setting \
         `max_output_bytes`",
    )
}
