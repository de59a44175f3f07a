//! `time.until`: a moment.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ControlKind;
use crate::node::{Effect, NodeDescriptor, NodeError, Port};
use crate::time::Timestamp;

/// The config of `time.until`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UntilConfig {
    /// A moment, such as `2026-12-24T18:00:00Z`.
    #[serde(default)]
    at: Option<String>,
    /// In place of a moment: the next time that it is this late, such as `18:00` or `18:00:30`.
    #[serde(default)]
    time: Option<String>,
    /// The time zone of `time`, such as `Europe/Oslo`; UTC unless said otherwise.
    #[serde(default)]
    timezone: Option<String>,
}

impl UntilConfig {
    /// The moment that is meant, seen from now.
    pub(crate) fn moment(&self, now: Timestamp) -> Result<Timestamp, NodeError> {
        match (&self.at, &self.time) {
            (Some(at), None) => {
                at.parse().map_err(|_| invalid(format!("`{at}` is not a moment"), MOMENT))
            }
            (None, Some(time)) => self.next(time, now),
            (Some(_), Some(_)) | (None, None) => {
                Err(invalid("exactly one of `at` and `time` is needed".to_owned(), MOMENT))
            }
        }
    }

    fn next(&self, time: &str, now: Timestamp) -> Result<Timestamp, NodeError> {
        let time: Time =
            time.parse().map_err(|_| invalid(format!("`{time}` is not a time of day"), TIME))?;
        let name = self.timezone.as_deref().unwrap_or("UTC");
        let zone = TimeZone::get(name)
            .map_err(|_| invalid(format!("there is no time zone `{name}`"), ZONE))?;
        let out_of_range = || invalid("the moment is out of range".to_owned(), MOMENT);
        let now = now.to_jiff().ok_or_else(out_of_range)?;
        let mut date = now.to_zoned(zone.clone()).date();
        loop {
            // A time that the clock leaves out that day is the moment when it jumps.
            let moment = date.to_datetime(time).to_zoned(zone.clone());
            let moment = moment.map_err(|_| out_of_range())?.timestamp();
            if moment > now {
                return Ok(Timestamp::from_jiff(moment));
            }
            date = date.tomorrow().map_err(|_| out_of_range())?;
        }
    }
}

const MOMENT: &str = "a moment is written `2026-12-24T18:00:00Z`";
const TIME: &str = "a time of day is written `18:00` or `18:00:30`";
const ZONE: &str = "time zones have IANA names, such as `Europe/Oslo`";

fn invalid(message: String, hint: &'static str) -> NodeError {
    NodeError::config(message).with_hint(hint)
}

pub(super) fn descriptor() -> NodeDescriptor {
    NodeDescriptor::new(ControlKind::Until.node_type())
        .summary("Wait for a moment")
        .description(
            "With `at`, a moment; with `time`, the next time that it is so late in the time zone.\n\
             A moment that has passed is not waited for.",
        )
        .config::<UntilConfig>()
        .effect(Effect::Pure)
        .control(ControlKind::Until)
        .input(Port::new("input").description("A value to pass on"))
        .output(Port::new("output").description("The value of `input`, or null"))
        .output(Port::new("at").typed::<String>().description("The moment"))
        .example(
            "A moment that has passed",
            json!({ "at": "1969-07-20T20:17:40Z" }),
            json!({ "input": "go" }),
            json!({ "output": "go", "at": "1969-07-20T20:17:40.000Z" }),
        )
}
