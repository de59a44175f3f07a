//! People enable and disable triggers, and change the addresses of webhooks.

use std::sync::Arc;

use flowruntime::store::AuditEntry;
use flowstore::Committed;

use super::save::keep;
use super::trigger::random_key;
use super::{Found, SaveError, State, TRIES, TriggerKey, busy};
use crate::app::{App, now};
use crate::workflows::unchanged;

/// What is asked of a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To start executions, or not, whatever the file says.
    Enabled(bool),
    /// To have another key in its address.
    NewKey,
}

/// Does what is asked of a trigger; gives it as it is then, or `None` when there is none. It holds
/// here when this returns, and on other servers soon.
pub(crate) async fn ask(
    app: &App,
    key: &TriggerKey,
    asked: Asked,
    audit: &AuditEntry,
) -> Result<Option<Found>, SaveError> {
    for _ in 0..TRIES {
        app.look().await?;
        let Some(found) = app.triggers.get(key) else { return Ok(None) };
        let mut state = found.state.as_deref().cloned().unwrap_or_default();
        match asked {
            Asked::Enabled(is_enabled) if state.asked == Some(is_enabled) => {
                return Ok(Some(found));
            }
            Asked::Enabled(is_enabled) => state.asked = Some(is_enabled),
            Asked::NewKey => state.key = Some(random_key()?),
        }
        if commit(app, &found, &state, audit).await? {
            app.look().await?;
            return Ok(Some(Found { state: Some(Arc::new(state)), ..found }));
        }
    }
    Err(busy().into())
}

/// Keeps a state, unless the trigger or its state has changed.
async fn commit(
    app: &App,
    found: &Found,
    state: &State,
    audit: &AuditEntry,
) -> Result<bool, SaveError> {
    let (key, version) = (&found.trigger.key, found.trigger.version);
    let same = unchanged(&*app.home, &key.project, &key.workflow, version).await?;
    let Some(same) = same else { return Ok(false) };
    let changes = vec![same, keep(key, found.state_version, Some(state))];
    let committed = app.home.commit(now(), changes, vec![audit.clone()]).await?;
    Ok(matches!(committed, Committed::Done(_)))
}
