//! Who changed what.

use flowcore::ProjectId;
use flowruntime::store::AuditEntry;
use serde_json::{Value as Json, json};

use crate::app::now;
use crate::auth::{Caller, TokenRecord};

/// An entry of the audit log: the caller does this to that.
pub(crate) fn entry(caller: &Caller, action: &str, subject: &str) -> AuditEntry {
    entry_with(caller, action, subject, [])
}

/// As [`entry`], with more members; those that are null are left out.
pub(crate) fn entry_with<const N: usize>(
    caller: &Caller,
    action: &str,
    subject: &str,
    more: [(&str, Json); N],
) -> AuditEntry {
    entry_of(caller.token(), action, subject, more)
}

/// As [`entry_with`], for the holder of a token.
pub(crate) fn entry_of<const N: usize>(
    token: &TokenRecord,
    action: &str,
    subject: &str,
    more: [(&str, Json); N],
) -> AuditEntry {
    let mut body = json!({
        "by": token.name,
        "token": token.id,
        "role": token.role.as_str(),
        "action": action,
        "subject": subject,
    });
    for (name, value) in more.into_iter().filter(|(_, value)| !value.is_null()) {
        body[name] = value;
    }
    AuditEntry { at: now(), project: Some(token.project.clone()), body: body.to_string() }
}

/// The server itself does this to that, in a project: `more` are members besides.
pub(crate) fn scheduled(
    project: &ProjectId,
    action: &str,
    subject: &str,
    more: serde_json::Map<String, Json>,
) -> AuditEntry {
    let mut body = json!({"by": "the server", "action": action, "subject": subject});
    if let Some(members) = body.as_object_mut() {
        members.extend(more);
    }
    AuditEntry { at: now(), project: Some(project.clone()), body: body.to_string() }
}

/// The server itself does this to that.
pub(crate) fn own_entry(action: &str, subject: &str) -> AuditEntry {
    own_entry_with(action, subject, json!({}))
}

/// As [`own_entry`], with the members of another object.
pub(crate) fn own_entry_with(action: &str, subject: &str, more: Json) -> AuditEntry {
    let mut body = json!({"by": "the server", "action": action, "subject": subject});
    if let (Some(body), Json::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    AuditEntry { at: now(), project: None, body: body.to_string() }
}
