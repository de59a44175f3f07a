//! Who did what, for the audit log.

use flowcore::ProjectId;
use flowruntime::store::AuditEntry;
use serde_json::{Value as Json, json};

use crate::app::now;
use crate::auth::{Caller, TokenRecord};

/// An entry of the audit log: the caller does this to that.
pub(crate) fn entry(caller: &Caller, action: &str, subject: &str) -> AuditEntry {
    entry_with(caller, action, subject, None::<(&str, Json)>)
}

/// As [`entry`], with more members; those that are null are left out.
pub(crate) fn entry_with(
    caller: &Caller,
    action: &str,
    subject: &str,
    more: impl IntoIterator<Item = (impl Into<String>, Json)>,
) -> AuditEntry {
    entry_of(caller.token(), action, subject, more)
}

/// As [`entry_with`], for the holder of a token.
pub(crate) fn entry_of(
    token: &TokenRecord,
    action: &str,
    subject: &str,
    more: impl IntoIterator<Item = (impl Into<String>, Json)>,
) -> AuditEntry {
    let body = json!({
        "by": token.name,
        "token": token.id,
        "role": token.role.as_str(),
        "action": action,
        "subject": subject,
    });
    write(Some(&token.project), body, more)
}

/// The server itself does this to that, in a project: `more` are members besides.
pub(crate) fn scheduled(
    project: &ProjectId,
    action: &str,
    subject: &str,
    more: impl IntoIterator<Item = (impl Into<String>, Json)>,
) -> AuditEntry {
    write(Some(project), of_server(action, subject), more)
}

/// The server itself does this to that.
pub(crate) fn own_entry(action: &str, subject: &str) -> AuditEntry {
    own_entry_with(action, subject, None::<(&str, Json)>)
}

/// As [`own_entry`], with more members.
pub(crate) fn own_entry_with(
    action: &str,
    subject: &str,
    more: impl IntoIterator<Item = (impl Into<String>, Json)>,
) -> AuditEntry {
    write(None, of_server(action, subject), more)
}

fn of_server(action: &str, subject: &str) -> Json {
    json!({"by": "the server", "action": action, "subject": subject})
}

fn write(
    project: Option<&ProjectId>,
    mut body: Json,
    more: impl IntoIterator<Item = (impl Into<String>, Json)>,
) -> AuditEntry {
    for (name, value) in more.into_iter().filter(|(_, value)| !value.is_null()) {
        body[name.into()] = value;
    }
    AuditEntry { at: now(), project: project.cloned(), body: body.to_string() }
}
