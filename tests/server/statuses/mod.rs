//! Every status that the OpenAPI document lists for an operation can occur, and no other does.
//!
//! What is to be shown is read from the document of a live server. Each request is made for an
//! operation, and the status of its answer is noted.

mod hooks;
mod provoked;
mod scenes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::Value as Json;

use crate::client::{Answer, Request};
use crate::contract::{Operation, operations};
use crate::site::Site;

#[cfg(feature = "postgres")]
pub(crate) use provoked::{sensible, unknown};

/// Why a documented status is not seen here.
fn why_not(operation: &str, status: u16) -> Option<&'static str> {
    match (operation, status) {
        (id, 500) if !id.starts_with("hooks.") => {
            Some("only a bug in Flow, or a store that is damaged, leads to it")
        }
        ("secrets.put", 409) => {
            Some("the store of this server has a sealing key; `cluster::s46_…` has one without")
        }
        _ => None,
    }
}

#[test]
fn every_documented_status_occurs_and_no_other() {
    let site = Site::new();
    let seen = Seen::new(&site);
    let api = Asks { site: &site, seen: &seen };
    hooks::save_all(api);
    std::thread::scope(|scope| {
        // The server gives up on a body after 30 s; the rest is done meanwhile.
        for operation in seen.operations() {
            scope.spawn(move || provoked::a_body_that_never_comes(api, operation));
        }
        for operation in seen.operations() {
            provoked::refusals(api, operation);
        }
        scenes::all(api);
        hooks::all(api);
        provoked::too_many_wrong_tokens(&seen);
        provoked::too_many_connections(&seen);
    });
    seen.check();
}

/// The statuses that came, beside those that may.
pub(crate) struct Seen {
    operations: BTreeMap<String, Operation>,
    statuses: Mutex<BTreeSet<(String, u16)>>,
}

impl Seen {
    pub(crate) fn new(site: &Site) -> Self {
        let all = operations(site).into_iter();
        let operations = all.map(|operation| (operation.id.clone(), operation)).collect();
        Self { operations, statuses: Mutex::default() }
    }

    pub(crate) fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.values()
    }

    #[track_caller]
    fn note(&self, id: &str, status: u16) {
        let operation = &self.operations[id];
        let may = operation.has_default || operation.statuses.contains(&status);
        assert!(may, "`{id}` answers {status}, which the document does not list");
        self.statuses.lock().unwrap().insert((id.to_owned(), status));
    }

    /// Nothing is missing, and what is said to be missing is.
    fn check(&self) {
        let seen = self.statuses.lock().unwrap();
        let mut wrong = Vec::new();
        let mut count = 0;
        for operation in self.operations() {
            let id = &operation.id;
            for status in &operation.statuses {
                let is_seen = seen.contains(&(id.clone(), *status));
                match (is_seen, why_not(id, *status)) {
                    (true, Some(why)) => wrong.push(format!("{id} {status} occurs: {why}")),
                    (false, None) => wrong.push(format!("{id} {status} does not occur")),
                    (true, None) | (false, Some(_)) => {}
                }
                count += 1;
            }
            let mut own = seen.iter().filter(|(of, _)| of == id);
            let goes_beyond = own.any(|(_, status)| !operation.statuses.contains(status));
            if operation.has_default != goes_beyond {
                wrong.push(format!("{id} default does not occur"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(count >= 500, "{count}");
    }
}

/// Sends requests to a server, and notes what comes back.
#[derive(Clone, Copy)]
pub(crate) struct Asks<'a> {
    pub(crate) site: &'a Site,
    pub(crate) seen: &'a Seen,
}

impl<'a> Asks<'a> {
    /// A request of the operator for an operation, such as `tokens.list?project=p`, with these parts
    /// in its path.
    #[track_caller]
    pub(crate) fn ask(self, what: &str, parts: &[&str]) -> Asked<'a> {
        self.bare(what, parts).with(|request| request.token(&self.site.token()))
    }

    /// The same, without a token.
    #[track_caller]
    pub(crate) fn bare(self, what: &str, parts: &[&str]) -> Asked<'a> {
        let (id, query) = what.split_at(what.find('?').unwrap_or(what.len()));
        let operation = &self.seen.operations[id];
        let mut parts = parts.iter();
        let path = operation.path.split('/').map(|part| match part.starts_with('{') {
            true => parts.next().copied().unwrap(),
            false => part,
        });
        let path = path.collect::<Vec<_>>().join("/") + query;
        assert_eq!(parts.next(), None, "{what}");
        let request = self.site.bare(&operation.method, &path);
        Asked { seen: self.seen, id: id.to_owned(), request }
    }
}

/// A request for an operation.
#[must_use]
pub(crate) struct Asked<'a> {
    seen: &'a Seen,
    id: String,
    request: Request,
}

impl Asked<'_> {
    pub(crate) fn with(self, change: impl FnOnce(Request) -> Request) -> Self {
        Self { request: change(self.request), ..self }
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.with(|request| request.header(name, value))
    }

    pub(crate) fn json(self, body: &Json) -> Self {
        self.with(|request| request.json(body))
    }

    #[track_caller]
    pub(crate) fn send(self) -> Answer {
        let id = self.id.clone();
        self.try_send().unwrap_or_else(|| panic!("`{id}` does not answer"))
    }

    /// `None` where the connection ends without an answer.
    #[track_caller]
    pub(crate) fn try_send(self) -> Option<Answer> {
        let answer = self.request.try_send().ok()?;
        self.seen.note(&self.id, answer.status);
        Some(answer)
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Answer {
        let id = self.id.clone();
        let answer = self.send();
        assert_eq!(answer.status, status, "{id}: {}", answer.text());
        answer
    }

    /// The status alone: the answer may be a stream without an end.
    #[track_caller]
    pub(crate) fn status(self) -> u16 {
        let status = self.request.try_listen().map_or_else(|answer| answer.status, |_| 200);
        self.seen.note(&self.id, status);
        status
    }
}
