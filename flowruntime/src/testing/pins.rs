//! Stand-ins by address.

use flowcore::{NodeContext, NodeIndex, Plan};

use super::{StandIn, StandIns};

/// Pins nodes to what they are to give, by their address.
///
/// `fetch` is a node of the workflow, `each[3].fetch` the one of the item 3 of `each`, and
/// `each.fetch` that of every item. Where several match, the one with the most indices counts.
#[derive(Debug, Clone, Default)]
pub struct Pins(Vec<(String, Vec<StandIn>)>);

impl Pins {
    /// No pin.
    pub fn new() -> Self {
        Self::default()
    }

    /// Pins the nodes at an address: the first attempt gives the first stand-in, the next ones the
    /// next; those after the last give the last again. Without any, nothing is pinned.
    #[must_use]
    pub fn pin(
        mut self,
        address: impl Into<String>,
        attempts: impl IntoIterator<Item = StandIn>,
    ) -> Self {
        self.0.push((address.into(), attempts.into_iter().collect()));
        self
    }

    /// What this attempt of the node at this address gives; `None` when it is not pinned.
    pub fn find(&self, address: &str, attempt: u32) -> Option<&StandIn> {
        let matching = self.0.iter().filter(|(pattern, _)| covers(pattern, address));
        let (_, attempts) = matching.max_by_key(|(pattern, _)| pattern.matches('[').count())?;
        let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        attempts.get(index).or(attempts.last())
    }
}

impl StandIns for Pins {
    fn stand_in(&self, _: &Plan, _: NodeIndex, context: &NodeContext) -> Option<StandIn> {
        self.find(context.address(), context.attempt()).cloned()
    }
}

/// Whether an address is the one of a pattern, which may leave indices out: `each.fetch` covers
/// `each[3].fetch`.
pub fn covers(pattern: &str, address: &str) -> bool {
    let mut parts = address.split('.');
    let same = |part: &str, found: &str| {
        part == found || found.split_once('[').is_some_and(|(bare, _)| bare == part)
    };
    pattern.split('.').all(|part| parts.next().is_some_and(|found| same(part, found)))
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowcore::NodeOutput;

    #[test]
    fn the_most_exact_address_counts_and_attempts_go_in_order() {
        let gives = |value: i64| StandIn::gives(NodeOutput::of("v", value));
        let pins = Pins::new()
            .pin("each[3].fetch", [gives(3)])
            .pin("each.fetch", [gives(1), gives(2)])
            .pin("a[1].b.c", [gives(5)])
            .pin("none", []);
        let find = |address: &str, attempt| pins.find(address, attempt).cloned();
        assert_eq!(find("each[0].fetch", 1), Some(gives(1)));
        assert_eq!(find("each[0].fetch", 2), Some(gives(2)));
        assert_eq!(find("each[0].fetch", 9), Some(gives(2)));
        assert_eq!(find("each[3].fetch", 1), Some(gives(3)));
        assert_eq!(find("a[1].b[7].c", 1), Some(gives(5)));
        for other in ["each[3]", "fetch", "each[3].fetch.x", "a[2].b[1].c", "none", "eac[0].fetch"]
        {
            assert_eq!(find(other, 1), None, "{other}");
        }
    }
}
