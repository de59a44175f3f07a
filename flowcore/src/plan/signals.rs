//! The signals that a workflow waits for.

use super::{ControlPlan, Plan};
use crate::control::ControlKind;
use crate::value::Value;
use crate::workflow::{check_value, nearest};

/// Why a signal is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// No node of the workflow waits for a signal of this name.
    #[error("no node waits for a signal `{name}`")]
    UnknownName {
        /// The name.
        name: String,
        /// The name that was probably meant.
        suggestion: Option<String>,
    },
    /// What came with it is not what the node expects.
    #[error("the payload of signal `{name}` does not fit: {problem}")]
    InvalidPayload {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// As many as are kept have come before anybody waited for them.
    #[error("{limit} signals are kept already, and no node has waited for them yet")]
    TooMany {
        /// How many are kept.
        limit: usize,
    },
    /// The execution has ended.
    #[error("the execution has ended")]
    Finished,
}

impl SignalError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownName { .. } => "signal.unknown_name",
            Self::InvalidPayload { .. } => "signal.invalid",
            Self::TooMany { .. } => "signal.too_many",
            Self::Finished => "execution.finished",
        }
    }

    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownName { suggestion, .. } => {
                suggestion.as_ref().map(|name| format!("did you mean `{name}`?"))
            }
            Self::TooMany { .. } => Some("send it again when nodes have taken some".to_owned()),
            Self::InvalidPayload { .. } | Self::Finished => None,
        }
    }
}

impl Plan {
    /// The names of the signals and approvals that nodes wait for, each once, in file order.
    pub fn signals(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for (_, name) in self.waits() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Whether a node waits for a signal of this name, and takes this payload.
    ///
    /// # Errors
    /// [`SignalError`] saying what is wrong with it.
    pub fn check_signal(&self, name: &str, payload: &Value) -> Result<(), SignalError> {
        let mut problem = None;
        for (index, waited) in self.waits().filter(|(_, waited)| *waited == name) {
            match self.payload_problem(index, payload) {
                None => return Ok(()),
                Some(found) => problem = Some((waited, found)),
            }
        }
        match problem {
            Some((name, problem)) => {
                Err(SignalError::InvalidPayload { name: name.to_owned(), problem })
            }
            None => Err(SignalError::UnknownName {
                name: name.to_owned(),
                suggestion: nearest(name, self.signals()).map(str::to_owned),
            }),
        }
    }

    fn waits(&self) -> impl Iterator<Item = (super::NodeIndex, &str)> {
        (0..).zip(self.graph.nodes()).filter_map(|(index, node)| match node.control()? {
            ControlPlan::Wait { kind: ControlKind::Signal | ControlKind::Approval, name } => {
                Some((index, &**name))
            }
            ControlPlan::Wait { .. }
            | ControlPlan::If(_)
            | ControlPlan::Switch(_)
            | ControlPlan::ForEach(_)
            | ControlPlan::Loop { .. }
            | ControlPlan::Race(_)
            | ControlPlan::Try { .. }
            | ControlPlan::Call(_)
            | ControlPlan::Stop => None,
        })
    }

    /// Why the node that waits does not take this payload, if it does not.
    pub(crate) fn payload_problem(
        &self,
        node: super::NodeIndex,
        payload: &Value,
    ) -> Option<String> {
        let is_approval = self.graph.node(node).control().is_some_and(|control| {
            matches!(control, ControlPlan::Wait { kind: ControlKind::Approval, .. })
        });
        if is_approval {
            let answers = payload.get("approved").and_then(Value::as_bool).is_some();
            let problem = "an approval is `{\"approved\": true or false, \"by\", \"reason\"}`";
            return (!answers).then(|| problem.to_owned());
        }
        let schema = self.spec(node).config.get("schema")?.to_json();
        check_value(&schema, payload).into_iter().next().map(|error| error.message)
    }
}
