//! How often nodes start.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::compile::{Common, Context};
use crate::control::ControlKind;
use crate::workflow::{Diagnostic, RateLimitSpec, Workflow};

/// How often attempts start: at most `limit` within any time of `per`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// What is limited. Limits of the same name count the same starts, whatever workflow they are of.
    pub name: RateName,
    /// How many start, at least 1.
    pub limit: u32,
    /// In which time.
    pub per: Duration,
}

impl RateLimit {
    /// At most so many starts within any time of `per`.
    pub fn new(name: RateName, limit: u32, per: Duration) -> Self {
        Self { name, limit: limit.max(1), per }
    }
}

/// What a rate limit counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RateName {
    /// The attempts of nodes of this type.
    NodeType(Arc<str>),
    /// The attempts of nodes that use this resource.
    Resource(Arc<str>),
}

impl RateName {
    /// The node type or the resource.
    pub fn as_str(&self) -> &Arc<str> {
        match self {
            Self::NodeType(name) | Self::Resource(name) => name,
        }
    }
}

/// The limits of one workflow, while it and its bodies are compiled.
#[derive(Default)]
pub(super) struct Rates {
    rules: Vec<Rule>,
    /// The nodes so far, by path; only when names of nodes are looked for.
    paths: RefCell<Vec<String>>,
}

struct Rule {
    limit: Arc<RateLimit>,
    /// The nodes that use the resource, and which of them were found.
    nodes: Vec<(Arc<str>, Cell<Found>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    No,
    Yes,
    /// It is a control node, which has no attempts.
    Control,
}

/// The limits that count where a body stands, and what its nodes' ids are appended to.
#[derive(Clone, Default)]
pub(super) struct Around {
    rates: Rc<Rates>,
    path: String,
}

impl Around {
    /// Those of a workflow.
    pub(super) fn of(workflow: &Workflow) -> Self {
        let rule = |spec: &RateLimitSpec| {
            let name = match (&spec.node_type, &spec.resource) {
                (Some(node_type), _) => RateName::NodeType(node_type.clone()),
                (None, resource) => RateName::Resource(resource.clone().unwrap_or_default()),
            };
            let per = Duration::from_millis(spec.per_ms);
            let nodes = spec.nodes.iter().map(|node| (node.clone(), Cell::new(Found::No)));
            Rule { limit: Arc::new(RateLimit::new(name, spec.limit, per)), nodes: nodes.collect() }
        };
        let rules = workflow.settings.rate_limits.iter().map(rule).collect();
        Self { rates: Rc::new(Rates { rules, ..Rates::default() }), path: String::new() }
    }

    /// The same inside of a control node.
    pub(super) fn inside(&self, id: &str) -> Self {
        if self.rates.rules.is_empty() {
            return self.clone();
        }
        Self { rates: self.rates.clone(), path: format!("{}{id}.", self.path) }
    }

    /// The limits of a node.
    pub(super) fn bind(
        &self,
        id: &str,
        node_type: &str,
        is_control: bool,
    ) -> Box<[Arc<RateLimit>]> {
        if self.rates.rules.is_empty() {
            return Box::default();
        }
        let path = format!("{}{id}", self.path);
        let is_limited = |rule: &&Rule| {
            let mut named = rule.nodes.iter().filter(|(name, _)| **name == *path).peekable();
            let is_named = named.peek().is_some();
            let found = if is_control { Found::Control } else { Found::Yes };
            named.for_each(|(_, seen)| seen.set(found));
            is_named || matches!(&rule.limit.name, RateName::NodeType(name) if **name == *node_type)
        };
        let limits = self.rates.rules.iter().filter(is_limited);
        let limits = limits.map(|rule| rule.limit.clone()).collect();
        self.rates.paths.borrow_mut().push(path);
        if is_control { Box::default() } else { limits }
    }

    /// Once all bodies are compiled: what was named and does not exist, or cannot be limited.
    pub(super) fn check(&self, context: &Context<'_>, common: &mut Common) {
        // What is wrong in a body may be why its nodes are not there.
        let is_whole = !common.diagnostics.has_errors();
        for (index, rule) in self.rates.rules.iter().enumerate() {
            let at = format!("/settings/rate_limits/{index}");
            if let RateName::NodeType(name) = &rule.limit.name {
                check_type(name, format!("{at}/node_type"), context, common);
            }
            for (number, (name, found)) in rule.nodes.iter().enumerate() {
                let pointer = format!("{at}/nodes/{number}");
                match found.get() {
                    Found::Yes => {}
                    Found::Control => common.diagnostics.push(no_attempts(pointer, name)),
                    Found::No if is_whole || !name.contains('.') => {
                        let paths = self.rates.paths.borrow();
                        let known = paths.iter().map(String::as_str);
                        let message = format!("there is no node `{name}`");
                        let mut problem =
                            Diagnostic::error("rate_limit.unknown_node", pointer, message).hint(
                                "a node inside of a control node is named as `each.update`; \
                                 one of a called workflow is limited there",
                            );
                        problem.suggestion =
                            common.suggestions.nearest(name, known).map(str::to_owned);
                        common.diagnostics.push(problem);
                    }
                    Found::No => {}
                }
            }
        }
    }
}

fn check_type(name: &str, pointer: String, context: &Context<'_>, common: &mut Common) {
    match context.registry.get(name) {
        Some(node) if node.descriptor.control_kind().is_some() => {
            common.diagnostics.push(no_attempts(pointer, name));
        }
        Some(_) => {}
        None => {
            let known = context.registry.iter().map(|node| &*node.descriptor.node_type);
            let message = format!("there is no node type `{name}`");
            let mut problem = Diagnostic::error("node.unknown_type", pointer, message)
                .hint("`flowcli nodes` lists the node types");
            problem.suggestion = common.suggestions.nearest(name, known).map(str::to_owned);
            common.diagnostics.push(problem);
        }
    }
}

fn no_attempts(pointer: String, name: &str) -> Diagnostic {
    let message = format!("`{name}` is a control node, which has no attempts to limit");
    let call = ControlKind::Call.node_type();
    Diagnostic::error("rate_limit.no_attempts", pointer, message).hint(if name == call {
        "limit the nodes of the workflow that is called, in its own settings"
    } else {
        "leave it out, or name the nodes inside of it, as `each.update`"
    })
}
