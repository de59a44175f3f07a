//! Moments as people read them.

use flowcore::Timestamp;
use jiff::Zoned;
use jiff::tz::TimeZone;

/// A moment in the time zone of this computer, with the day unless it is the day of `now`.
pub(super) fn local(moment: Timestamp, now: Timestamp) -> String {
    show(moment, now, &TimeZone::system())
}

fn show(moment: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let zoned = |at: Timestamp| {
        let at = jiff::Timestamp::from_millisecond(at.as_millis()).ok()?;
        Some(at.to_zoned(zone.clone()))
    };
    let (Some(at), Some(now)) = (zoned(moment), zoned(now)) else { return moment.to_string() };
    let day = |at: &Zoned| at.date();
    let form = if day(&at) == day(&now) { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    at.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_a_day_when_it_is_another() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let now = Timestamp::from_millis(1_700_000_000_000);
        let after = |hours: i64| Timestamp::from_millis(now.as_millis() + hours * 3_600_000);
        // 2023-11-14T22:13:20Z is a day later with two hours more.
        assert_eq!(show(after(1), now, &zone), "01:13");
        assert_eq!(show(after(-1), now, &zone), "2023-11-14 23:13");
    }
}
