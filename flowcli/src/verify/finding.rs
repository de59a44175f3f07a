//! What is wrong, and where it was seen first.

use std::fmt;

use flowruntime::History;
use flowruntime::testing::crash::Fault;
use serde::Serialize;

use crate::testing::difference::Difference;

/// Something that is wrong.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    pub(crate) code: &'static str,
    /// The address of the node, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) differences: Vec<Difference>,
    pub(crate) hint: &'static str,
    /// The first crash that it was seen in; none if it takes no crash to see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) crash: Option<Place>,
    /// In how many crashes it was seen.
    pub(crate) crashes: usize,
}

impl Finding {
    pub(crate) fn new(code: &'static str, message: impl Into<String>, hint: &'static str) -> Self {
        let (node, differences, crash) = (None, Vec::new(), None);
        Self { code, node, message: message.into(), differences, hint, crash, crashes: 0 }
    }

    #[must_use]
    pub(crate) fn node(mut self, address: &str) -> Self {
        self.node = Some(address.to_owned());
        self
    }

    #[must_use]
    pub(crate) fn differences(mut self, differences: Vec<Difference>) -> Self {
        self.differences = differences;
        self
    }

    /// Whether it says the same of the same node.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.code, &self.node) == (other.code, &other.node)
    }
}

/// What happens at the write at which a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    /// It fails.
    Lost,
    /// It happens, and an error is told.
    KeptWithError,
    /// It happens, and nobody hears of it.
    Kept,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Lost, Self::KeptWithError, Self::Kept];

    pub(crate) fn fault(self) -> Fault {
        match self {
            Self::Lost => Fault::DieBefore,
            Self::KeptWithError => Fault::FailAndDie,
            Self::Kept => Fault::DieAfter,
        }
    }
}

/// Where a process died.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Place {
    /// How many events were kept.
    after_event: usize,
    /// The last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    /// The address of its node, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    way: Way,
    #[serde(skip)]
    is_accepted: bool,
}

impl Place {
    pub(crate) fn new(before: Option<&History>, way: Way) -> Self {
        let events = before.map(|history| history.events.as_slice()).unwrap_or_default();
        let last = events.last();
        Self {
            after_event: events.len(),
            event: last.and_then(|event| event.event()).map(|event| event.name()),
            node: last.and_then(|event| event.node_id()).map(str::to_owned),
            way,
            is_accepted: before.is_some(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event {
            Some(event) => write!(f, "after event {}, {event}", self.after_event)?,
            None if self.is_accepted => f.write_str("after the start was accepted")?,
            None => f.write_str("before it was accepted")?,
        }
        if let Some(node) = &self.node {
            write!(f, " `{node}`")?;
        }
        match self.way {
            Way::Lost => f.write_str(", when the next write was lost"),
            Way::KeptWithError => f.write_str(", which was kept and told as failed"),
            Way::Kept => Ok(()),
        }
    }
}
