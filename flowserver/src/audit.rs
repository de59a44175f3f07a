//! Who changed what.

use flowcore::ProjectId;
use flowruntime::store::AuditEntry;
use serde_json::json;

use crate::app::now;
use crate::auth::Caller;

/// An entry of the audit log: the caller does this to that.
pub(crate) fn entry(caller: &Caller, action: &str, subject: &str) -> AuditEntry {
    entry_with(caller, action, subject, serde_json::Map::new())
}

/// As [`entry`], with members besides.
pub(crate) fn entry_with(
    caller: &Caller,
    action: &str,
    subject: &str,
    more: serde_json::Map<String, serde_json::Value>,
) -> AuditEntry {
    let (token, at) = (caller.token(), now());
    let mut body = json!({
        "by": token.name,
        "token": token.id,
        "role": caller.role().as_str(),
        "action": action,
        "subject": subject,
    });
    if let Some(members) = body.as_object_mut() {
        members.extend(more);
    }
    AuditEntry { at, project: Some(caller.project().clone()), body: body.to_string() }
}

/// The server itself does this to that, in a project: `more` are members besides.
pub(crate) fn scheduled(
    project: &ProjectId,
    action: &str,
    subject: &str,
    more: serde_json::Map<String, serde_json::Value>,
) -> AuditEntry {
    let mut body = json!({"by": "the server", "action": action, "subject": subject});
    if let Some(members) = body.as_object_mut() {
        members.extend(more);
    }
    AuditEntry { at: now(), project: Some(project.clone()), body: body.to_string() }
}

/// The server itself does this to that.
pub(crate) fn own_entry(action: &str, subject: &str) -> AuditEntry {
    let body = json!({"by": "the server", "action": action, "subject": subject});
    AuditEntry { at: now(), project: None, body: body.to_string() }
}
