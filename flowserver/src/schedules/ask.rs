//! Operators enable and disable schedules.

use flowcore::Timestamp;
use flowruntime::store::{AuditEntry, StoreError};

use super::{State, TRIES, busy};
use crate::app::App;
use crate::triggers::TriggerKey;

/// Enables or disables a schedule, whatever the file says; gives whether there is one. It holds here
/// when this returns, and on other servers soon: none of them claims anything by what was before.
pub(crate) async fn ask(
    app: &App,
    key: &TriggerKey,
    is_enabled: bool,
    now: Timestamp,
    audit: &AuditEntry,
) -> Result<bool, StoreError> {
    for _ in 0..TRIES {
        app.look().await?;
        let entry = app.schedules.entry(key);
        let Some(schedule) = &entry.schedule else { return Ok(false) };
        let mut state = State::following(entry.state.as_deref(), schedule);
        state.ask(is_enabled, now);
        if entry.state.as_deref() == Some(&state)
            || app.schedules.keep(key, &entry, Some(&state), now, vec![audit.clone()]).await?
        {
            return Ok(true);
        }
    }
    Err(busy())
}
