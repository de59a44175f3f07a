//! What the nodes of the reference see of each other, and what an execution gives.

use flowcore::machine::{ExecutionStatus, NodeStatus};
use flowcore::{Array, Effect, NodeOutput, Object, Value};

use crate::nodes::{ERROR, MANY, NEED, OUTPUTS};
use crate::script::{End, Entry, Given, INPUT_A, Leaves, Link, When, id, micros};
use crate::state::{Ending, Reference};

impl Reference<'_> {
    /// What a node sees on a port of another. A `first` node sees what there was when its race was
    /// decided; the others wait for everything.
    fn value(&self, reader: usize, node: usize, port: usize) -> Option<Value> {
        let (reader, source) = (&self.nodes[reader], &self.nodes[node]);
        let visible = source.done.is_some_and(|done| done <= reader.ready.map_or(0, |at| at.0));
        visible.then(|| self.port(node, port)).flatten()
    }

    fn port(&self, node: usize, port: usize) -> Option<Value> {
        let name = OUTPUTS.get(port).copied().unwrap_or("error");
        self.nodes[node].outputs.get(name).cloned()
    }

    fn input(&self, node: usize, port: usize) -> Result<Option<Value>, String> {
        let into = |link: &&Link| link.to == node && link.into == Some(port);
        if self.links.iter().any(|link| into(&link)) {
            let live = self.links.iter().filter(into).filter_map(|link| match link.leaves {
                Leaves::Port(port) => self.value(node, link.from, port),
                Leaves::Error => self.value(node, link.from, ERROR),
                Leaves::Anywhere => None,
            });
            return Ok(match port {
                MANY => Some(Value::Array(Array::from_values(live).unwrap())),
                _ => live.into_iter().next(),
            });
        }
        match self.case.nodes[node].ports.get(&port) {
            Some(entry) => self.entry(node, *entry).map(Some),
            None if port == 0 && !self.links.iter().any(|link| link.to == node) => {
                Ok(Some(Value::from(INPUT_A)))
            }
            None => Ok(None),
        }
    }

    fn entry(&self, node: usize, entry: Entry) -> Result<Value, String> {
        match entry {
            Entry::Constant => Ok(Value::from("constant")),
            Entry::Read(read) => read.value(self.value(node, read.node, read.port)),
            Entry::Own(port) => {
                Ok(self.input(node, port).ok().flatten().unwrap_or_else(|| Value::from("none")))
            }
        }
    }

    /// What an attempt that starts now is given.
    pub(crate) fn prepare(&self, node: usize) -> Result<Given, String> {
        let case = &self.case.nodes[node];
        let inputs = (0..case.input_count()).map(|port| self.input(node, port));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        if case.needs && inputs[NEED].is_none() {
            return Err("input.missing".to_owned());
        }
        let config = case.config.iter().map(|entry| self.entry(node, *entry));
        let elapsed = case.retry.as_ref().and_then(|policy| policy.max_elapsed_ms);
        let left = elapsed.map(|ms| (self.nodes[node].first + micros(ms) - self.now).max(0));
        let timeout = case.timeout_ms.map(micros).into_iter().chain(left).min();
        let state = (case.effect != Effect::Pure).then(|| self.state.clone());
        Ok(Given { inputs, config: config.collect::<Result<_, _>>()?, state, timeout })
    }

    pub(crate) fn when(&self, node: usize) -> Result<bool, String> {
        let is_defined = |from, port| self.value(node, from, port).is_some();
        let value = match self.case.nodes[node].when {
            None | Some(When::FirstAttempt) => Value::from(true),
            Some(When::Flag(flag)) => self.case.flags[flag].clone(),
            Some(When::Read(read)) => read.value(self.value(node, read.node, read.port))?,
            Some(When::Defined(from, port)) => Value::from(is_defined(from, port)),
            Some(When::Undefined(from, port)) => Value::from(!is_defined(from, port)),
            Some(When::OwnDefined(port)) => {
                Value::from(self.input(node, port).ok().flatten().is_some())
            }
            Some(When::NotBoolean) => Value::from(2),
        };
        match value {
            Value::Bool(runs) => Ok(runs),
            Value::Null => Ok(false),
            _ => Err("when.not_boolean".to_owned()),
        }
    }

    /// The value of the port `error` of a node.
    pub(crate) fn error(&self, node: usize) -> NodeOutput {
        let state = &self.nodes[node];
        let entries = [
            ("code", Value::from(state.code.as_str())),
            ("node", Value::from(id(node))),
            ("attempts", Value::from(state.attempts)),
        ];
        NodeOutput::of("error", Object::from_entries(entries).unwrap())
    }

    pub(crate) fn end(&self) -> End {
        let error = |code: &str, node| Some((code.to_owned(), node));
        let mut warnings = 0;
        let (status, error, outputs) = match self.ending {
            None => match self.outputs(&mut warnings) {
                Ok(outputs) => (ExecutionStatus::Succeeded, None, outputs),
                Err(code) => (ExecutionStatus::Failed, error(&code, None), Value::Null),
            },
            Some(Ending::Failed(node)) => {
                let code = self.nodes[node].code.as_str();
                (ExecutionStatus::Failed, error(code, Some(node)), Value::Null)
            }
            Some(Ending::TimedOut) => {
                (ExecutionStatus::TimedOut, error("execution.timed_out", None), Value::Null)
            }
            Some(Ending::Cancelled | Ending::NewRound) => {
                (ExecutionStatus::Cancelled, error("execution.cancelled", None), Value::Null)
            }
        };
        let nodes = self.nodes.iter().map(|node| (node.status, node.attempts)).collect();
        let warnings = if error.is_some() { 0 } else { warnings };
        End { status, error, outputs, warnings, rounds: self.round, at: self.now, nodes }
    }

    /// The outputs that are asked for, null where a node did not give any; or those of the nodes on
    /// which nothing depends.
    fn outputs(&self, warnings: &mut usize) -> Result<Value, String> {
        let mut object = Object::new();
        for (index, read) in self.case.outputs.iter().flatten().enumerate() {
            let found = self.port(read.node, read.port);
            let is_dead = found.is_none();
            let value = read.value(found).or_else(|code| match is_dead {
                true => {
                    *warnings += 1;
                    Ok(Value::Null)
                }
                false => Err(code),
            })?;
            object.insert(format!("o{index}"), value).unwrap();
        }
        for (node, state) in self.nodes.iter().enumerate() {
            let is_last = !self.links.iter().any(|link| link.from == node);
            let succeeded = state.status == NodeStatus::Succeeded;
            if self.case.outputs.is_none() && is_last && succeeded {
                object.insert(id(node), state.outputs.to_object().unwrap()).unwrap();
            }
        }
        Ok(Value::Object(object))
    }
}
