//! Moments of the command line.

use flowcore::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::duration;

/// Reads a moment: RFC 3339, a day or a time of it in the time zone of this computer, or how long
/// ago, such as `2h`.
pub(crate) fn parse_arg(text: &str) -> Result<Timestamp, String> {
    parse(text, jiff::Timestamp::now(), &TimeZone::system())
}

fn parse(text: &str, now: jiff::Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    let absolute = || text.parse::<jiff::Timestamp>().ok();
    let of = |civil: DateTime| civil.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
    let day = || text.parse::<Date>().ok().filter(|_| text.len() <= 10).map(DateTime::from);
    let local = || day().or_else(|| text.parse::<DateTime>().ok()).and_then(of);
    let ago = || now.checked_sub(duration::parse(text).ok()?).ok();
    let found = absolute().or_else(local).or_else(ago);
    let found = found.map(|moment| Timestamp::from_micros(moment.as_microsecond()));
    found.ok_or_else(|| {
        "expected a moment such as `2026-11-20`, `2026-11-20T10:00:00Z` or `2h` (ago)".to_owned()
    })
}

/// A moment in the time zone of this computer, to the second.
pub(crate) fn show(moment: Timestamp) -> String {
    show_in(moment, &TimeZone::system())
}

fn show_in(moment: Timestamp, zone: &TimeZone) -> String {
    match jiff::Timestamp::from_microsecond(moment.as_micros()) {
        Ok(at) => at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => moment.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        let now: jiff::Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let read = |text: &str| parse(text, now, &zone).map(|at| at.to_string()).ok();
        for (text, expected) in [
            ("2026-11-20T08:30:00Z", "2026-11-20T08:30:00.000Z"),
            ("2026-11-20T08:30:00+01:00", "2026-11-20T07:30:00.000Z"),
            ("2026-11-20", "2026-11-19T22:00:00.000Z"),
            ("2026-11-20 08:30", "2026-11-20T06:30:00.000Z"),
            ("2h", "2026-11-20T08:00:00.000Z"),
            ("1d", "2026-11-19T10:00:00.000Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        for bad in ["", "yesterday", "2026-13-01", "-2h"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn moments_are_shown() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let shown = show_in(Timestamp::from_millis(1_700_000_000_999), &zone);
        assert_eq!(shown, "2023-11-15 00:13:20");
    }
}
