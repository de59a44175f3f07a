//! What a verb works with.

use std::sync::Arc;

use flowcore::{Diagnostics, NodeFactory, NodeRegistry, Source};

use crate::output::Output;
use crate::report::diagnostics;
use crate::report::human;
use crate::settings::{GlobalSettings, Verbosity};

/// Where node types come from; asked only by verbs that need them.
#[derive(Clone)]
pub(crate) enum Registration {
    /// A function that registers any number.
    Function(Arc<dyn Fn(&mut NodeRegistry)>),
    /// One node type.
    Factory(Arc<dyn NodeFactory>),
}

/// What a verb works with.
pub(crate) struct Session {
    /// Standard output and standard error.
    pub(crate) output: Output,
    /// What holds for every verb.
    pub(crate) settings: GlobalSettings,
    /// The name under which the program was called.
    pub(crate) program: String,
    pub(crate) registrations: Vec<Registration>,
}

impl Session {
    /// All node types of this binary.
    pub(crate) fn registry(&self) -> NodeRegistry {
        let mut registry = NodeRegistry::new();
        for registration in &self.registrations {
            match registration {
                Registration::Function(register) => register(&mut registry),
                Registration::Factory(factory) => {
                    registry.register_shared(factory.clone());
                }
            }
        }
        registry
    }

    /// Says something to a person, unless they want to hear of errors only.
    pub(crate) fn note(&mut self, text: &str) {
        if self.settings.verbosity > Verbosity::Quiet {
            self.output.message(text);
        }
    }

    /// Says something that is worth worrying about, unless only errors are wanted.
    pub(crate) fn warn(&mut self, text: &str) {
        let line = human::warning(text);
        self.note(&line);
    }

    /// Shows the problems of a workflow with the lines of its text; warnings only unless quiet.
    pub(crate) fn show_diagnostics(&mut self, source: &Source, found: &Diagnostics) {
        let quiet = self.settings.verbosity == Verbosity::Quiet;
        let styled = self.output.has_styled_messages();
        for diagnostic in found.iter().filter(|one| one.is_error() || !quiet) {
            let text = diagnostics::render(source, diagnostic, styled);
            self.output.message(&text);
        }
    }
}
