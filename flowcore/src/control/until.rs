//! `time.until`: a moment.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ControlKind;
use crate::node::{Effect, NodeDescriptor, NodeError, Port};
use crate::time::Timestamp;
use crate::value::{Object, Value};

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
            (Some(at), None) => moment(at),
            (None, Some(time)) => self.next(time, now),
            (Some(_), Some(_)) | (None, None) => Err(not_one()),
        }
    }

    fn next(&self, time: &str, now: Timestamp) -> Result<Timestamp, NodeError> {
        let time = time_of_day(time)?;
        let zone = time_zone(self.timezone.as_deref().unwrap_or("UTC"))?;
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

/// What is wrong with a config, as far as it stands there literally: each with the JSON pointer of
/// it below the config.
pub(crate) fn mistakes(config: &Object) -> Vec<(&'static str, NodeError)> {
    let literal =
        |key: &str| config.get(key).and_then(Value::as_str).filter(|text| !text.contains("{{"));
    let wrong = |found: Option<Result<(), NodeError>>| found.and_then(Result::err);
    let one = (config.contains_key("at") == config.contains_key("time")).then(not_one);
    let at = wrong(literal("at").map(|at| moment(at).map(drop)));
    let time = wrong(literal("time").map(|time| time_of_day(time).map(drop)));
    let zone = wrong(literal("timezone").map(|zone| time_zone(zone).map(drop)));
    let found = [("", one), ("/at", at), ("/time", time), ("/timezone", zone)];
    found.into_iter().filter_map(|(pointer, error)| Some((pointer, error?))).collect()
}

fn moment(text: &str) -> Result<Timestamp, NodeError> {
    text.parse().map_err(|_| invalid(format!("`{text}` is not a moment"), MOMENT))
}

fn time_of_day(text: &str) -> Result<Time, NodeError> {
    text.parse().map_err(|_| {
        invalid(
            format!("`{text}` is not a time of day"),
            "a time of day is written `18:00` or `18:00:30`",
        )
    })
}

fn time_zone(name: &str) -> Result<TimeZone, NodeError> {
    TimeZone::get(name).map_err(|_| {
        invalid(
            format!("there is no time zone `{name}`"),
            "time zones have IANA names, such as `Europe/Oslo`",
        )
    })
}

fn not_one() -> NodeError {
    invalid("exactly one of `at` and `time` is needed".to_owned(), MOMENT)
}

const MOMENT: &str = "a moment is written `2026-12-24T18:00:00Z`";

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
