//! Which nodes addresses mean, without an execution.

use std::collections::{HashSet, VecDeque};

use super::{BodyIndex, ControlPlan, NodeIndex, Plan};
use crate::workflow::nearest;

/// Why an address means no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct AddressError {
    /// A lowercase fragment.
    pub message: String,
    /// The whole address that was probably meant.
    pub suggestion: Option<String>,
}

/// What stands between the address of a control node and the ids inside of it, and the body.
fn openings(control: &ControlPlan) -> Vec<(String, BodyIndex)> {
    match control {
        ControlPlan::ForEach(body) | ControlPlan::Loop { body, .. } | ControlPlan::Call(body) => {
            vec![(String::new(), *body)]
        }
        ControlPlan::Race(branches) => {
            (0..).zip(&**branches).map(|(index, body)| (format!("[{index}]"), *body)).collect()
        }
        ControlPlan::Try { body, catch, finally } => {
            let parts = [(".body", Some(*body)), (".catch", *catch), (".finally", *finally)];
            parts.into_iter().filter_map(|(part, body)| Some((part.to_owned(), body?))).collect()
        }
        ControlPlan::If(_)
        | ControlPlan::Switch(_)
        | ControlPlan::Stop
        | ControlPlan::Wait { .. } => Vec::new(),
    }
}

impl Plan {
    /// Every node once, in the order of the bodies, with an address that leaves indices of items and
    /// iterations out: `each.fetch`. A workflow that is called by several is listed under the first.
    pub fn addresses(&self) -> Vec<(NodeIndex, String)> {
        let mut found = Vec::with_capacity(self.graph.len());
        let mut seen = HashSet::from([0]);
        let mut open = VecDeque::from([(0, String::new())]);
        while let Some((body, prefix)) = open.pop_front() {
            for node in self.body(body).nodes() {
                let address = format!("{prefix}{}", self.graph.node(node).id());
                let control = self.graph.node(node).control();
                for (part, inner) in control.map(openings).unwrap_or_default() {
                    if seen.insert(inner) {
                        open.push_back((inner, format!("{address}{part}.")));
                    }
                }
                found.push((node, address));
            }
        }
        found
    }

    /// The node that an address means, such as `each[3].fetch`; where the index of an item or an
    /// iteration is left out, it is that of all of them. The index itself is not checked.
    ///
    /// # Errors
    /// [`AddressError`] when there is none.
    pub fn find_node(&self, address: &str) -> Result<NodeIndex, AddressError> {
        let mut body = 0;
        let mut parts = address.split('.').peekable();
        let mut before = String::new();
        while let Some(part) = parts.next() {
            let (id, index) = match part.split_once('[') {
                Some((id, rest)) => (id, Some(rest)),
                None => (part, None),
            };
            let node = self.node_in(body, id).ok_or_else(|| self.no_node(body, &before, id))?;
            let at = format!("{before}{part}");
            if parts.peek().is_none() && index.is_none() {
                return Ok(node);
            }
            let openings = self.graph.node(node).control().map(openings).unwrap_or_default();
            let (inner, step) = self.enter(node, index, &openings, parts.peek().copied(), &at)?;
            if !step.is_empty() {
                parts.next();
            }
            if parts.peek().is_none() {
                let message = format!("`{address}` is no node: an id inside of `{at}` is missing");
                return Err(AddressError { message, suggestion: None });
            }
            (body, before) = (inner, format!("{at}{step}."));
        }
        Err(AddressError { message: "the address is empty".to_owned(), suggestion: None })
    }

    /// The body that the part of an address leads into, and what of the next part is used up.
    fn enter(
        &self,
        node: NodeIndex,
        index: Option<&str>,
        openings: &[(String, BodyIndex)],
        next: Option<&str>,
        at: &str,
    ) -> Result<(BodyIndex, String), AddressError> {
        let fail = |message: String| Err(AddressError { message, suggestion: None });
        let is_call = matches!(self.graph.node(node).control(), Some(ControlPlan::Call(_)));
        match (openings, index) {
            ([], _) => fail(format!("node `{at}` holds no other nodes")),
            ([(part, body)], None) if part.is_empty() => Ok((*body, String::new())),
            ([(part, body)], Some(rest)) if part.is_empty() && !is_call && is_index(rest) => {
                Ok((*body, String::new()))
            }
            (_, Some(rest)) => {
                let own = format!("[{rest}");
                match openings.iter().find(|(part, _)| *part == own) {
                    Some((_, body)) => Ok((*body, String::new())),
                    None => fail(format!("`{at}` is nothing that the node opens")),
                }
            }
            (_, None) => {
                let step = format!(".{}", next.unwrap_or_default());
                match openings.iter().find(|(part, _)| *part == step) {
                    Some((_, body)) => Ok((*body, step)),
                    None => {
                        let parts: Vec<_> =
                            openings.iter().map(|(part, _)| format!("`{at}{part}`")).collect();
                        fail(format!("inside of `{at}` are {}", parts.join(", ")))
                    }
                }
            }
        }
    }

    fn node_in(&self, body: BodyIndex, id: &str) -> Option<NodeIndex> {
        self.body(body).nodes().find(|node| *self.graph.node(*node).id() == *id)
    }

    fn no_node(&self, body: BodyIndex, before: &str, id: &str) -> AddressError {
        let ids = self.body(body).nodes().map(|node| self.graph.node(node).id().as_str());
        let near = nearest(id, ids).map(|near| format!("{before}{near}"));
        // Perhaps it stands inside of something.
        let inside = || {
            let all = self.addresses();
            let end = format!(".{id}");
            all.into_iter().map(|(_, address)| address).find(|address| address.ends_with(&end))
        };
        let place = before.strip_suffix('.');
        let place = place.map_or("the workflow".to_owned(), |place| format!("`{place}`"));
        AddressError {
            message: format!("{place} has no node `{id}`"),
            suggestion: near.or_else(inside),
        }
    }
}

fn is_index(rest: &str) -> bool {
    rest.strip_suffix(']').is_some_and(|index| index.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use crate::workflow::Workflow;
    use crate::{NodeDescriptor, NodeOutput, NodeRegistry, compile};

    #[test]
    fn addresses_are_found_and_misspellings_explained() {
        let mut registry = NodeRegistry::new();
        registry.register_function(NodeDescriptor::untyped("x"), |_| Ok(NodeOutput::new()));
        let workflow = Workflow::from_json(
            r#"{ "nodes": [
              { "id": "first", "node_type": "x" },
              { "id": "each", "node_type": "control.for_each", "config": { "items": [1],
                "body": { "nodes": [ { "id": "fetch", "node_type": "x" } ] } } },
              { "id": "either", "node_type": "control.parallel_race", "config": { "branches": [
                { "nodes": [ { "id": "one", "node_type": "x" } ] },
                { "nodes": [ { "id": "two", "node_type": "x" } ] } ] } },
              { "id": "try", "node_type": "control.try", "config": {
                "body": { "nodes": [ { "id": "go", "node_type": "x" } ] },
                "finally": { "nodes": [ { "id": "end", "node_type": "x" } ] } } }
            ] }"#,
        )
        .unwrap();
        let plan = compile(&workflow, &registry).plan.unwrap();
        let all = [
            "first",
            "each",
            "either",
            "try",
            "each.fetch",
            "either[0].one",
            "either[1].two",
            "try.body.go",
            "try.finally.end",
        ];
        let listed = plan.addresses();
        assert_eq!(listed.iter().map(|(_, address)| &**address).collect::<Vec<_>>(), all);
        for (node, address) in &listed {
            assert_eq!(plan.find_node(address).as_ref(), Ok(node), "{address}");
        }
        assert_eq!(plan.find_node("each[3].fetch"), plan.find_node("each.fetch"));
        for (bad, expected) in [
            ("frist", "the workflow has no node `frist` (first)"),
            ("fetch", "the workflow has no node `fetch` (each.fetch)"),
            ("each.fech", "`each` has no node `fech` (each.fetch)"),
            ("first.x", "node `first` holds no other nodes ()"),
            ("first[0]", "node `first[0]` holds no other nodes ()"),
            ("each[3]", "`each[3]` is no node: an id inside of `each[3]` is missing ()"),
            ("each[x].fetch", "`each[x]` is nothing that the node opens ()"),
            ("either.one", "inside of `either` are `either[0]`, `either[1]` ()"),
            ("either[2].one", "`either[2]` is nothing that the node opens ()"),
            ("try.go", "inside of `try` are `try.body`, `try.finally` ()"),
            ("try.body", "`try.body` is no node: an id inside of `try` is missing ()"),
            ("", "the workflow has no node `` ()"),
        ] {
            let error = plan.find_node(bad).unwrap_err();
            let found = format!("{error} ({})", error.suggestion.as_deref().unwrap_or_default());
            assert_eq!(found, expected, "{bad}");
        }
    }
}
