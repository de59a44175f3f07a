//! What a verb works with.

use flowcore::{Diagnostic, Diagnostics, NodeRegistrations, NodeRegistry, Source};

use crate::error::CliError;
use crate::output::Output;
use crate::report::diagnostics::{self, Look};
use crate::report::human::{clean, warning};
use crate::server::{Server, ServerSettings};
use crate::settings::{GlobalSettings, Verbosity};
use crate::source::display_name;

/// What a verb works with.
pub(crate) struct Session {
    /// Standard output and standard error.
    pub(crate) output: Output,
    /// What holds for every verb.
    pub(crate) settings: GlobalSettings,
    /// The server that the verb is for, if one is named.
    pub(crate) server: Option<ServerSettings>,
    /// The name under which the program was called.
    pub(crate) program: String,
    /// Where node types come from; asked only by verbs that need them.
    pub(crate) registrations: NodeRegistrations,
}

impl Session {
    /// All node types of this binary.
    pub(crate) fn registry(&self) -> NodeRegistry {
        self.registrations.registry()
    }

    /// Gets ready to ask the server that is named, if one is.
    pub(crate) fn connect(&self) -> Result<Option<Server>, CliError> {
        let server = self.server.as_ref().map(Server::new).transpose()?;
        if server.as_ref().is_some_and(|server| server.api.is_open()) {
            self.note(&warning(
                "the token crosses the network in clear text: `https://` keeps it from others",
            ));
        }
        Ok(server)
    }

    /// As [`Session::connect`], for verbs that need a server.
    pub(crate) fn server(&self) -> Result<Server, CliError> {
        self.connect()?.ok_or(CliError::NoServer)
    }

    /// Refuses what means nothing where a server does the work.
    pub(crate) fn only_without_server(&self, option: &str) -> Result<(), CliError> {
        match self.server {
            Some(_) => Err(CliError::NotHere {
                option: option.to_owned(),
                here: "with `--server`: that is up to the server".to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// The node types that workflows may name: those of the server, if one is named.
    pub(crate) fn node_types(&self) -> Result<NodeRegistry, CliError> {
        match self.connect()? {
            Some(server) => server.registry(&self.registry()),
            None => Ok(self.registry()),
        }
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
