//! Moments and durations as data; flowcore itself never asks what time it is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment: microseconds since the Unix epoch, up to the year 9999.
///
/// Shown as RFC 3339 in UTC with milliseconds. In JSON it has microseconds if it needs them: what is
/// read is what was written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// 9999-12-30T22:00:00Z: in no time zone is it later than the year 9999, the last that RFC 3339 can
/// write.
const LAST: i64 = 253_402_207_200_000_000;

impl Timestamp {
    /// The moment this many microseconds after the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The moment this many milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the Unix epoch, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The moment this much later; saturates at the end of the year 9999.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let micros = duration.as_secs().saturating_mul(1_000_000);
        let micros = micros.saturating_add(u64::from(duration.subsec_micros()));
        Self(self.0.saturating_add_unsigned(micros).min(LAST))
    }

    /// The same moment for calendars; `None` when they do not reach so far.
    pub(crate) fn to_jiff(self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::from_microsecond(self.0).ok()
    }

    /// A moment of a calendar.
    pub(crate) fn from_jiff(moment: jiff::Timestamp) -> Self {
        Self(moment.as_microsecond().min(LAST))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl std::str::FromStr for Timestamp {
    type Err = jiff::Error;

    /// Reads RFC 3339.
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Self::from_jiff)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(moment) => write!(f, "{moment:.3}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(moment) if self.0 % 1000 != 0 => {
                serializer.collect_str(&format_args!("{moment:.6}"))
            }
            Ok(_) | Err(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(moment.as_microsecond()))
    }
}

/// Where nodes take time from, so that tests can hold it still.
pub trait Clock: Send + Sync {
    /// The present moment. Never goes back within one process.
    fn now(&self) -> Timestamp;

    /// Waits. Cancel safe: dropping the future ends the wait.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Waits for a moment; at once when it is past. Cancel safe.
    fn sleep_until(&self, moment: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.sleep(moment.since(self.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339() {
        let moment = Timestamp::from_micros(1_795_168_800_123_456);
        assert_eq!(moment.to_string(), "2026-11-20T10:00:00.123Z");
        assert_eq!(Timestamp::default().to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(moment.after(Duration::from_millis(5)).since(moment).as_millis(), 5);
        assert_eq!(Timestamp::default().since(moment), Duration::ZERO);
    }
    #[track_caller]
    fn check_json(moment: Timestamp, json: &str) {
        assert_eq!(serde_json::to_string(&moment).unwrap(), json);
        assert_eq!(serde_json::from_str::<Timestamp>(json).unwrap(), moment);
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let moment = Timestamp::from_millis(1_795_168_800_123);
        check_json(moment, "\"2026-11-20T10:00:00.123Z\"");
        check_json(moment.after(Duration::from_micros(45)), "\"2026-11-20T10:00:00.123045Z\"");
        check_json(Timestamp::from_micros(-1), "\"1969-12-31T23:59:59.999999Z\"");
        check_json(moment.after(Duration::MAX), "\"9999-12-30T22:00:00.000Z\"");
    }
}
