//! A case as data: nodes inside of nodes, and what their attempts will do.

use flowcore::{CalledWorkflow, NoWorkflow, Workflow, WorkflowSource};
use serde_json::{Value as Json, json};

/// A workflow and everything that will happen to it.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) body: Body,
    /// When somebody wants the execution to stop, in microseconds.
    pub(super) cancel: Option<i64>,
    /// How long after undoing has begun somebody wants that to stop, too.
    pub(super) again: Option<i64>,
    /// Chooses what the attempts of one node do in different scopes.
    pub(super) seed: u64,
}

/// What one scope executes.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) nodes: Vec<Node>,
    /// Whether each waits for the one before, or all start at once.
    pub(super) is_chain: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Numbers are those of the whole case, so that no id stands twice.
    pub(super) id: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Leaf {
        undo: bool,
    },
    Delay {
        millis: i64,
    },
    Each {
        items: u32,
        at_once: u32,
        policy: Policy,
        limit_ms: Option<i64>,
        body: Body,
    },
    Loop {
        times: u32,
        body: Body,
    },
    Race {
        branches: Vec<Body>,
    },
    Try {
        body: Body,
        catch: Option<Body>,
        finally: Option<Body>,
    },
    /// A workflow of its own, named as the node is.
    Call {
        body: Body,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Fail,
    Skip,
    Collect,
}

/// What the one attempt of a leaf does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) duration: i64,
    pub(super) succeeds: bool,
    /// How long it takes to stop when it is told to; `None` does not listen.
    pub(super) stops_after: Option<i64>,
}

impl Case {
    /// What the attempt of the leaf at this address does.
    pub(super) fn plan(&self, address: &str) -> Plan {
        let mut hash = self.seed | 1;
        for byte in address.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            hash ^= hash >> 29;
        }
        let part = |shift: u32, most: u64| i64::try_from((hash >> shift) % most).unwrap();
        Plan {
            duration: 1 + part(0, 40_000),
            succeeds: part(20, 5) > 0,
            stops_after: (part(30, 4) > 0).then(|| 1 + part(40, 9_000)),
        }
    }

    /// Whether somebody pauses and resumes it after this event, at once.
    pub(super) fn pauses_after(&self, seq: u64) -> bool {
        let mixed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(21);
        mixed.wrapping_add(seq).is_multiple_of(7)
    }

    pub(super) fn workflow(&self) -> Workflow {
        self.body.workflow()
    }

    /// Whether the node at this address stands in a workflow that is called.
    pub(super) fn is_called(&self, address: &str) -> bool {
        address.split(['.', '[']).any(|id| self.body.called(id).is_some())
    }
}

/// The workflows that are called.
impl WorkflowSource for Case {
    fn find(&self, name: &str, _: Option<&str>) -> Result<CalledWorkflow, NoWorkflow> {
        let found = self.body.called(name);
        let body = found.ok_or_else(|| NoWorkflow::NotFound("no node calls it".to_owned()))?;
        Ok(CalledWorkflow { key: name.to_owned(), workflow: body.workflow() })
    }
}

impl Body {
    fn workflow(&self) -> Workflow {
        let mut file = self.json(&[]);
        file["outputs"] = json!({ "all": file["outputs"] });
        Workflow::from_json(&file.to_string()).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The body that the node of this id calls, somewhere inside.
    fn called(&self, id: &str) -> Option<&Self> {
        self.nodes.iter().find_map(|node| match &node.kind {
            Kind::Call { body } if node.id == id => Some(body),
            kind => kind.bodies().into_iter().find_map(|body| body.called(id)),
        })
    }

    /// A body gives these names, then what each of its nodes gives.
    fn json(&self, names: &[&str]) -> Json {
        let expression = |text: &str| json!(format!("{{{{ {text} }}}}"));
        let names = names.iter().map(|name| expression(name));
        let values = self.nodes.iter().map(|node| expression(&node.value()));
        let pairs = self.nodes.windows(2).filter(|_| self.is_chain);
        let connections =
            pairs.map(|pair| json!({ "from_node": pair[0].id, "to_node": pair[1].id }));
        json!({
            "nodes": self.nodes.iter().map(Node::json).collect::<Vec<_>>(),
            "connections": connections.collect::<Vec<_>>(),
            "outputs": names.chain(values).collect::<Vec<_>>(),
        })
    }
}

impl Kind {
    fn bodies(&self) -> Vec<&Body> {
        match self {
            Self::Leaf { .. } | Self::Delay { .. } => Vec::new(),
            Self::Each { body, .. } | Self::Loop { body, .. } | Self::Call { body } => vec![body],
            Self::Race { branches } => branches.iter().collect(),
            Self::Try { body, catch, finally } => {
                [Some(body), catch.as_ref(), finally.as_ref()].into_iter().flatten().collect()
            }
        }
    }
}

impl Node {
    /// The expression for what it gives.
    fn value(&self) -> String {
        let port = match self.kind {
            Kind::Leaf { .. } => "x",
            Kind::Delay { .. } => "waited_ms",
            Kind::Each { .. } => "results",
            Kind::Loop { .. } => "state",
            Kind::Race { .. } | Kind::Try { .. } => "output",
            Kind::Call { .. } => "output.all",
        };
        format!("nodes.{}.{port}", self.id)
    }

    fn json(&self) -> Json {
        let (node_type, config) = match &self.kind {
            Kind::Leaf { .. } => ("waiting", json!({})),
            Kind::Delay { millis } => ("time.delay", json!({ "delay_ms": millis })),
            Kind::Each { items, at_once, policy, body, .. } => {
                let policy = match policy {
                    Policy::Fail => "fail",
                    Policy::Skip => "skip",
                    Policy::Collect => "collect",
                };
                let config = json!({
                    "items": (0..*items).map(|item| format!("item {item}")).collect::<Vec<_>>(),
                    "max_concurrency": at_once, "on_item_error": policy,
                    "body": body.json(&["item", "index"]),
                });
                ("control.for_each", config)
            }
            Kind::Loop { times, body } => {
                let body = body.json(&["index", "state | length"]);
                let until = format!("index + 1 == {times}");
                ("control.loop", json!({ "state": [], "until": until, "body": body }))
            }
            Kind::Race { branches } => {
                let branches: Vec<Json> = branches.iter().map(|body| body.json(&[])).collect();
                ("control.parallel_race", json!({ "branches": branches }))
            }
            Kind::Try { body, catch, finally } => {
                let mut config = json!({ "body": body.json(&[]) });
                if let Some(catch) = catch {
                    config["catch"] = catch.json(&["error.node"]);
                }
                if let Some(finally) = finally {
                    config["finally"] = finally.json(&[]);
                }
                ("control.try", config)
            }
            Kind::Call { .. } => ("workflow.call", json!({ "workflow": self.id })),
        };
        let mut node = json!({ "id": self.id, "node_type": node_type, "config": config });
        if let Kind::Each { limit_ms: Some(limit), .. } = self.kind {
            node["timeout_ms"] = json!(limit);
        }
        if let Kind::Leaf { undo: true } = self.kind {
            let given = format!("{{{{ nodes.{}.x }}}}", self.id);
            node["undo"] = json!({ "node_type": "waiting", "config": { "a": given } });
        }
        node
    }
}
