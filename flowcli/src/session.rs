//! What a verb works with.

use std::sync::Arc;

use flowcore::{Diagnostic, Diagnostics, NodeFactory, NodeRegistry, Source};

use crate::output::Output;
use crate::report::diagnostics::{self, Look};
use crate::report::human::clean;
use crate::settings::{GlobalSettings, Verbosity};
use crate::source::display_name;

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
    pub(crate) fn note(&self, text: &str) {
        if self.settings.verbosity > Verbosity::Quiet {
            self.output.message(text);
        }
    }

    /// Shows the problems of a workflow with the lines of its text; warnings only unless quiet.
    pub(crate) fn show_diagnostics(&self, source: &Source, found: &Diagnostics) {
        let quiet = self.settings.verbosity == Verbosity::Quiet;
        let (styled, width) = (self.output.messages().is_styled(), self.output.message_width());
        for diagnostic in found.iter().filter(|one| one.is_error() || !quiet) {
            let text = diagnostics::render(source, diagnostic, Look { styled, width });
            self.output.message(&(text + "\n"));
        }
    }

    /// Shows why a workflow cannot be used.
    pub(crate) fn refuse(&self, source: &Source, found: &Diagnostics) {
        self.show_diagnostics(source, found);
        let name = clean(display_name(source.name()));
        self.output.message(&format!("{name}: {}\n", diagnostics::summary(found)));
        self.say_where_codes_are_explained(found.iter().next());
    }

    /// Says once, after problems were shown, where their codes are explained.
    pub(crate) fn say_where_codes_are_explained(&self, first: Option<&Diagnostic>) {
        if let Some(first) = first {
            let command = format!("{} explain {}", self.program, first.code);
            self.note(&format!("`{command}` tells more about a code"));
        }
    }
}
