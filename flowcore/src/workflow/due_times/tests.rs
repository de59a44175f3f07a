use std::collections::{BTreeSet, HashSet};

use jiff::civil::DateTime;
use jiff::tz::TimeZoneDatabase;
use jiff::{SignedDuration, ToSpan};
use proptest::prelude::*;

use super::*;

/// Hours, halves of hours, midnight, both hemispheres, and an offset that is no whole hour.
const ZONES: [&str; 8] = [
    "Europe/Oslo",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Asia/Beirut",
    "Africa/Casablanca",
    "Asia/Kathmandu",
];

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn all_between(due: &DueTimes, after: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    let from = due.after(after);
    let all = std::iter::successors(from, |last| due.after(*last));
    all.take_while(|moment| *moment <= until).collect()
}

#[track_caller]
fn check(expression: &str, zone: &str, after: &str, expected: &[&str]) {
    let due = DueTimes::new(expression, Some(zone)).unwrap();
    let mut found = Vec::new();
    let mut last = at(after);
    for _ in expected {
        last = due.after(last).unwrap();
        found.push(last);
    }
    let expected: Vec<_> = expected.iter().map(|text| at(text)).collect();
    assert_eq!(found, expected, "{expression} in {zone}");
    // The same ones on the way back.
    for moment in found.iter().rev() {
        last = due.at_or_before(last).unwrap();
        assert_eq!(last, *moment);
        last = Timestamp::from_micros(last.as_micros() - 1);
    }
    assert!(due.at_or_before(last).is_none_or(|before| before <= at(after)), "{expression}");
}

#[test]
fn one_time_of_the_day_is_due_once_a_day() {
    // 02:30 is left out on 2026-03-29, and comes twice on 2026-10-25.
    check(
        "30 2 * * *",
        "Europe/Oslo",
        "2026-03-28T00:00:00Z",
        &["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
    );
    check(
        "30 2 * * *",
        "Europe/Oslo",
        "2026-10-24T00:00:00Z",
        &["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
    );
}

#[test]
fn several_times_of_the_day_are_due_when_the_clock_shows_them() {
    check(
        "*/30 1-3 * * *",
        "Europe/Oslo",
        "2026-03-29T00:00:00Z",
        &["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"],
    );
    check(
        "0 * * * *",
        "Europe/Oslo",
        "2026-10-24T23:30:00Z",
        &["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"],
    );
}

#[test]
fn parts_of_seconds_count() {
    let due = DueTimes::new("*/10 * * * * *", None).unwrap();
    let moment = at("2026-01-01T00:00:10.5Z");
    assert_eq!(due.after(moment), Some(at("2026-01-01T00:00:20Z")));
    assert_eq!(due.at_or_before(moment), Some(at("2026-01-01T00:00:10Z")));
    assert_eq!(due.after(at("2026-01-01T00:00:10Z")), Some(at("2026-01-01T00:00:20Z")));
    assert_eq!(due.at_or_before(at("2026-01-01T00:00:10Z")), Some(at("2026-01-01T00:00:10Z")));
    assert_eq!(
        due.at_or_before(at("2026-01-01T00:00:09.999999Z")),
        Some(at("2026-01-01T00:00:00Z"))
    );
}

#[test]
fn what_never_comes_is_never_due() {
    let due = DueTimes::new("0 0 30 2 *", Some("Europe/Oslo")).unwrap();
    assert_eq!(due.after(at("2026-01-01T00:00:00Z")), None);
    assert_eq!(due.at_or_before(at("2026-01-01T00:00:00Z")), None);
    assert!(DueTimes::new("61 * * * *", None).is_none());
    assert!(DueTimes::new("* * * * *", Some("Europe/Olso")).is_none());
}

#[test]
fn every_second_of_a_change_is_due_once() {
    let due = DueTimes::new("* * * * * *", Some("America/New_York")).unwrap();
    // From 01:59:00 EDT over 02:00:00, which is 01:00:00 EST.
    let start = at("2026-11-01T05:59:00Z");
    let found = all_between(&due, start, at("2026-11-01T06:01:00Z"));
    let expected: Vec<_> =
        (1..=120).map(|second| start.after(std::time::Duration::from_secs(second))).collect();
    assert_eq!(found, expected);
}

/// The values of a field, and how they are written.
#[derive(Debug, Clone)]
struct Field {
    text: String,
    values: BTreeSet<u8>,
    /// One value, written as such.
    is_single: bool,
    is_star: bool,
}

fn field(first: u8, last: u8) -> impl Strategy<Value = Field> {
    let star = Just(Field {
        text: "*".to_owned(),
        values: (first..=last).collect(),
        is_single: false,
        is_star: true,
    });
    let single = (first..=last).prop_map(|value| Field {
        text: value.to_string(),
        values: [value].into(),
        is_single: true,
        is_star: false,
    });
    let step = (2..=(last - first)).prop_map(move |step| Field {
        text: format!("{first}-{last}/{step}"),
        values: (first..=last).step_by(step.into()).collect(),
        is_single: false,
        is_star: false,
    });
    let list = proptest::collection::btree_set(first..=last, 2..4).prop_map(|values| Field {
        text: values.iter().map(u8::to_string).collect::<Vec<_>>().join(","),
        values,
        is_single: false,
        is_star: false,
    });
    prop_oneof![3 => star, 3 => single, 1 => step, 2 => list]
}

#[derive(Debug, Clone)]
struct Fields {
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
}

impl Fields {
    fn text(&self) -> String {
        let all = [&self.minute, &self.hour, &self.day, &self.month, &self.weekday];
        all.map(|field| field.text.as_str()).join(" ")
    }

    fn has_date(&self, moment: DateTime) -> bool {
        let has = |field: &Field, value: i8| field.values.contains(&u8::try_from(value).unwrap());
        let day = has(&self.day, moment.day());
        let weekday = has(&self.weekday, moment.weekday().to_sunday_zero_offset());
        let is_day = match (self.day.is_star, self.weekday.is_star) {
            (false, false) => day || weekday,
            _ => day && weekday,
        };
        is_day && has(&self.month, moment.month())
    }

    fn has(&self, moment: DateTime) -> bool {
        let has = |field: &Field, value: i8| field.values.contains(&u8::try_from(value).unwrap());
        has(&self.minute, moment.minute())
            && has(&self.hour, moment.hour())
            && self.has_date(moment)
    }

    /// Minute by minute, from what the clock on the wall shows and nothing else.
    fn reference(&self, zone: &TimeZone, after: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let names_one_time = self.minute.is_single && self.hour.is_single;
        let mut found = Vec::new();
        let mut shown = HashSet::new();
        // The first day only shows what has been shown.
        let mut instant = after.to_jiff().unwrap() - SignedDuration::from_hours(24);
        let mut before = zone.to_datetime(instant - SignedDuration::from_mins(1));
        while Timestamp::from_jiff(instant) <= until {
            let wall = zone.to_datetime(instant);
            let is_repeated = !shown.insert(wall);
            let mut is_due = self.has(wall) && !(names_one_time && is_repeated);
            if names_one_time {
                let mut left_out = before + 1.minute();
                while left_out < wall {
                    is_due |= self.has(left_out) && self.has_date(wall);
                    left_out += 1.minute();
                }
            }
            let moment = Timestamp::from_jiff(instant);
            if is_due && moment > after {
                found.push(moment);
            }
            before = wall;
            instant += SignedDuration::from_mins(1);
        }
        found
    }
}

fn fields() -> impl Strategy<Value = Fields> {
    // Mostly around the hours in which clocks are changed.
    let hour = prop_oneof![3 => field(0, 3), 2 => field(0, 23)];
    (field(0, 59), hour, field(1, 31), field(1, 12), field(0, 6)).prop_map(
        |(minute, hour, day, month, weekday)| {
            let hour =
                if hour.is_star { Field { values: (0..=23).collect(), ..hour } } else { hour };
            Fields { minute, hour, day, month, weekday }
        },
    )
}

/// The moment of a change of the clocks between 2018 and 2030, or one of a day without.
fn change(zone: &TimeZone, which: usize) -> Timestamp {
    let from = "2018-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap();
    let until = "2030-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap();
    let changes = zone.following(from).map(|change| change.timestamp());
    let changes: Vec<_> = changes.take_while(|moment| *moment < until).collect();
    Timestamp::from_jiff(if changes.is_empty() { from } else { changes[which % changes.len()] })
}

fn cases() -> u32 {
    let cases = std::env::var("FLOW_PROPERTY_CASES").ok();
    cases.and_then(|text| text.parse().ok()).unwrap_or(192)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn f39_due_times_are_those_of_a_clock_on_the_wall(
        fields in fields(),
        zone in proptest::sample::select(&ZONES[..]),
        which in any::<usize>(),
        moments in proptest::collection::vec(0_i64..172_800_000_000, 8),
    ) {
        let (expression, name) = (fields.text(), zone);
        let due = DueTimes::new(&expression, Some(name)).unwrap();
        let zone = TimeZoneDatabase::bundled().get(name).unwrap();
        let change = change(&zone, which);
        let day = 86_400_000_000;
        let (start, end) =
            (Timestamp::from_micros(change.as_micros() - day), change.after(std::time::Duration::from_secs(86_400)));
        let expected = fields.reference(&zone, start, end);
        prop_assert_eq!(all_between(&due, start, end), &*expected, "{} in {}", expression, name);
        for offset in moments {
            let moment = Timestamp::from_micros(start.as_micros() + offset);
            let next = expected.iter().copied().find(|due| *due > moment);
            let found = due.after(moment).filter(|due| *due <= end);
            prop_assert_eq!(found, next, "{} in {} after {}", expression, name, moment);
            let last = expected.iter().copied().rfind(|due| *due <= moment);
            let found = due.at_or_before(moment).filter(|due| *due > start);
            prop_assert_eq!(found, last, "{} in {} before {}", expression, name, moment);
        }
    }
}
