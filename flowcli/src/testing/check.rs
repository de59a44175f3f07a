//! Checks a test file against its workflow: addresses, ports, inputs and signals.

use flowcore::machine::Outcome;
use flowcore::reading::place_all;
use flowcore::value::escape_pointer;
use flowcore::{
    Diagnostic, Diagnostics, Execution, NodeRegistry, Object, Plan, SignalError, Source, Value,
    nearest, resolve_inputs,
};

use super::file::{Case, Expect, Named, Pin, Signal, TestFile};
use super::{codes, reader};

/// The file as far as it could be read, and what is wrong with its form.
pub(crate) fn read(source: &Source) -> (Option<TestFile>, Diagnostics) {
    reader::read(source)
}

/// What is wrong with the cases of a file, given the workflow that they are about. What fits is
/// brought into the form that an execution takes.
pub(crate) fn check(
    source: &Source,
    file: &mut TestFile,
    plan: &Plan,
    registry: &NodeRegistry,
) -> Diagnostics {
    let mut checker = Checker { plan, registry, found: Diagnostics::new(), seen: Vec::new() };
    file.cases.iter_mut().for_each(|case| checker.case(case));
    place_all(source, checker.found)
}

struct Checker<'a> {
    plan: &'a Plan,
    registry: &'a NodeRegistry,
    found: Diagnostics,
    /// What cases share is checked once.
    seen: Vec<String>,
}

impl Checker<'_> {
    fn case(&mut self, case: &mut Case) {
        for pin in &case.pins {
            if self.is_first(&pin.address.pointer) {
                self.pin(pin);
            }
        }
        for named in &case.allow {
            if self.is_first(&named.pointer) {
                self.allowed(named);
            }
        }
        case.signals.iter_mut().for_each(|signal| self.signal(signal));
        self.inputs(case);
        self.expect(&case.expect);
    }

    fn is_first(&mut self, pointer: &str) -> bool {
        let is_first = !self.seen.iter().any(|seen| seen == pointer);
        if is_first {
            self.seen.push(pointer.to_owned());
        }
        is_first
    }

    /// The node at an address; reports when there is none.
    fn node(&mut self, named: &Named, is_key: bool) -> Option<flowcore::NodeIndex> {
        self.plan
            .find_node(&named.name)
            .map_err(|error| {
                let mut problem =
                    Diagnostic::error(codes::NODE, &named.pointer, error.message.clone());
                problem.suggestion = error.suggestion;
                self.found.push(if is_key { problem.at_key() } else { problem });
            })
            .ok()
    }

    fn pin(&mut self, pin: &Pin) {
        let Some(index) = self.node(&pin.address, true) else { return };
        let node = self.plan.graph().node(index);
        let node_type: &str = &self.plan.spec(index).node_type;
        if node.execution() == Execution::Control {
            let message =
                format!("`{}` is a `{node_type}`, which the engine itself runs", pin.address.name);
            let hint = "pin the nodes inside of it, or give the signal that it waits for";
            let problem = Diagnostic::error(codes::CONTROL, &pin.address.pointer, message);
            return self.found.push(problem.at_key().hint(hint));
        }
        let descriptor = &self.plan.node_type(node).descriptor;
        let ports: Vec<&str> = descriptor.outputs.iter().map(|port| port.name.as_ref()).collect();
        for (stand_in, pointer) in &pin.attempts {
            if node.execution() == Execution::Inline && !stand_in.after.is_zero() {
                let message = format!("a `{node_type}` takes no time");
                let at = format!("{pointer}/after");
                self.found.push(Diagnostic::error(codes::INLINE, at, message).at_key());
            }
            let Some(Outcome::Succeeded { outputs, .. }) = &stand_in.outcome else { continue };
            for (port, _) in outputs.iter().filter(|_| !descriptor.open_outputs) {
                if !ports.contains(&port) {
                    let at = format!("{pointer}/outputs/{}", escape_pointer(port));
                    let message = format!("a `{node_type}` has no output port `{port}`");
                    let problem = Diagnostic::error(codes::PORT, at, message).at_key();
                    let expected = format!("`{}`", ports.join("`, `"));
                    self.found
                        .push(problem.suggest(port, ports.iter().copied()).expected(expected));
                }
            }
        }
    }

    /// An entry of `allow` is a node type or an address.
    fn allowed(&mut self, named: &Named) {
        if self.registry.get(&named.name).is_some() || self.plan.find_node(&named.name).is_ok() {
            return;
        }
        let message = format!("`{}` is neither a node type nor the address of a node", named.name);
        let addresses = self.plan.addresses();
        let types = self.registry.iter().map(|known| known.descriptor.node_type.as_ref());
        let all = addresses.iter().map(|(_, address)| address.as_str()).chain(types);
        let problem = Diagnostic::error(codes::NODE, &named.pointer, message);
        self.found.push(problem.suggest(&named.name, all));
    }

    fn signal(&mut self, signal: &mut Signal) {
        let mut result = self.plan.check_signal(&signal.name, &signal.payload);
        // `true` says all that an approval needs.
        if let (Err(_), Some(approved)) = (&result, signal.payload.as_bool()) {
            let answer = Object::from_entries([("approved", Value::from(approved))]);
            let answer = Value::Object(answer.expect("it holds a scalar"));
            if self.plan.check_signal(&signal.name, &answer).is_ok() {
                signal.payload = answer;
                result = Ok(());
            }
        }
        let Err(error) = result else { return };
        let key = match error {
            SignalError::UnknownName { .. } => "name",
            SignalError::InvalidPayload { .. } | _ => "payload",
        };
        let at = format!("{}/{key}", signal.pointer);
        let names = self.plan.signals();
        let mut problem = Diagnostic::error(error.code(), at, error.to_string());
        if key == "name" {
            problem.suggestion = nearest(&signal.name, names.iter().copied()).map(str::to_owned);
            problem.expected = Some(match names.is_empty() {
                true => "no signal: the workflow waits for none".to_owned(),
                false => format!("`{}`", names.join("`, `")),
            });
        }
        self.found.push(problem);
    }

    /// Problems of what the file gives to all cases stand there, and once.
    fn inputs(&mut self, case: &Case) {
        let resolved = resolve_inputs(self.plan.workflow(), case.inputs.clone());
        let Err(found) = resolved else { return };
        for mut problem in found {
            let name = problem.pointer.split('/').nth(1).unwrap_or_default().to_owned();
            let is_shared = case.inputs.keys().any(|key| escape_pointer(key) == name)
                && !case.own_inputs.iter().any(|key| escape_pointer(key) == name);
            let around = if is_shared { "" } else { &case.pointer };
            problem.pointer = format!("{around}/inputs{}", problem.pointer);
            if self.is_first(&format!("{} {}", problem.pointer, problem.message)) {
                self.found.push(problem);
            }
        }
    }

    fn expect(&mut self, expect: &Expect) {
        let lists = [&expect.ran, &expect.not_ran, &expect.skipped, &expect.failed];
        for named in lists.into_iter().flatten().chain(&expect.error.node) {
            self.node(named, false);
        }
        let counted = expect.attempts.iter().map(|(named, _)| named);
        for named in counted.chain(expect.given.iter().map(|(named, _)| named)) {
            self.node(named, true);
        }
    }
}

/// Problems of a file that were found one after another, in the order of its text.
pub(crate) fn in_order(found: Diagnostics) -> Diagnostics {
    let mut all: Vec<Diagnostic> = found.into_iter().collect();
    all.sort_by_key(|one| one.location.as_ref().map(|location| location.range.start));
    let mut found = Diagnostics::new();
    found.extend(all);
    found
}
