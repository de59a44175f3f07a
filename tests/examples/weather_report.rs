//! `examples/weather-report`: its figures against ones that are computed here, from the same table
//! and in another way: exactly, in whole tenths.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value as Json, json};

use super::support::{flowcli, outputs, path};

const WORKFLOW: &str = "examples/weather-report/workflow.json";

/// A day; all numbers in tenths.
struct Day {
    date: String,
    rain: i64,
    high: i64,
    low: i64,
    wind: i64,
    weather: String,
}

fn days() -> Vec<Day> {
    let text = fs::read_to_string(path("examples/weather-report/seattle-weather.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("date,precipitation,temp_max,temp_min,wind,weather"));
    lines.map(day).collect()
}

fn day(line: &str) -> Day {
    let cells: Vec<&str> = line.split(',').collect();
    let [date, rain, high, low, wind, weather] = cells[..] else { panic!("{line}") };
    Day {
        date: date.to_owned(),
        rain: tenths(rain),
        high: tenths(high),
        low: tenths(low),
        wind: tenths(wind),
        weather: weather.to_owned(),
    }
}

fn tenths(cell: &str) -> i64 {
    let (whole, tenth) = cell.split_once('.').unwrap();
    assert_eq!(tenth.len(), 1, "{cell}");
    format!("{whole}{tenth}").parse().unwrap()
}

/// Checks that a figure is `tenths / count`, rounded to one decimal.
#[track_caller]
fn check_rounded(figure: &Json, tenths: i64, count: usize) {
    let (figure, exact) = (figure.as_f64().unwrap(), tenths as f64 / count as f64 / 10.0);
    assert!((figure - exact).abs() < 0.05 + 1e-9, "{figure} is not {exact}, rounded");
    assert!((figure * 10.0 - (figure * 10.0).round()).abs() < 1e-9, "{figure} is not rounded");
}

fn sum(days: &[&Day], value: fn(&Day) -> i64) -> i64 {
    days.iter().map(|day| value(day)).sum()
}

fn groups(days: &[Day], range: std::ops::Range<usize>) -> BTreeMap<&str, Vec<&Day>> {
    let mut groups: BTreeMap<&str, Vec<&Day>> = BTreeMap::new();
    days.iter().for_each(|day| groups.entry(&day.date[range.clone()]).or_default().push(day));
    groups
}

#[test]
fn the_report_is_the_one_that_is_kept() {
    let output = flowcli().arg("run").arg(path(WORKFLOW)).output().unwrap();
    let expected = path("examples/weather-report/expected-output.json");
    if std::env::var_os("FLOW_UPDATE").is_some() {
        fs::write(&expected, &output.stdout).unwrap();
    }
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(report, fs::read_to_string(expected).unwrap());
}

#[test]
fn the_period_is_the_whole_table() {
    let period = &outputs(WORKFLOW, &[])["period"];
    let days = days();
    assert_eq!(days.len(), 1461, "four years, one of them a leap year");
    assert_eq!(*period, json!({ "from": days[0].date, "to": days[1460].date, "days": days.len() }));
}

#[test]
fn years_are_right() {
    let report = outputs(WORKFLOW, &[]);
    let (days, reported) = (days(), report["years"].as_array().unwrap());
    let years = groups(&days, 0..4);
    assert_eq!(reported.len(), years.len());
    for (figures, (year, days)) in reported.iter().zip(years) {
        assert_eq!(figures["year"].to_string(), year);
        check_rounded(&figures["mean_high_celsius"], sum(&days, |day| day.high), days.len());
        check_rounded(&figures["mean_low_celsius"], sum(&days, |day| day.low), days.len());
        check_rounded(&figures["rain_mm"], sum(&days, |day| day.rain), 1);
        let wet = days.iter().filter(|day| day.rain > 0).count();
        assert_eq!(figures["wet_days"], json!(wet));
    }
}

#[test]
fn months_are_right() {
    let report = outputs(WORKFLOW, &[]);
    let (days, reported) = (days(), report["months"].as_array().unwrap());
    let names = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let months = groups(&days, 5..7);
    assert_eq!(reported.len(), 12);
    for ((figures, name), days) in reported.iter().zip(names).zip(months.values()) {
        assert_eq!(figures["month"], name);
        check_rounded(&figures["mean_high_celsius"], sum(days, |day| day.high), days.len());
        check_rounded(&figures["mean_low_celsius"], sum(days, |day| day.low), days.len());
        check_rounded(&figures["rain_mm"], sum(days, |day| day.rain), 4);
    }
}

#[test]
fn records_are_the_first_days_with_the_extreme() {
    let records = &outputs(WORKFLOW, &[])["records"];
    let days = days();
    let first = |value: fn(&Day) -> i64| {
        let most = days.iter().map(value).max().unwrap();
        days.iter().find(|day| value(day) == most).unwrap()
    };
    for (name, day) in [
        ("hottest", first(|day| day.high)),
        ("coldest", first(|day| -day.low)),
        ("wettest", first(|day| day.rain)),
        ("windiest", first(|day| day.wind)),
    ] {
        let number = |tenths: i64| tenths as f64 / 10.0;
        let expected = json!({
            "date": day.date,
            "precipitation": number(day.rain),
            "temp_max": number(day.high),
            "temp_min": number(day.low),
            "wind": number(day.wind),
            "weather": day.weather,
        });
        assert_eq!(records[name], expected, "{name}");
    }
}

#[test]
fn kinds_of_weather_are_counted() {
    let weather = &outputs(WORKFLOW, &[])["weather"];
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    days().into_iter().for_each(|day| *counts.entry(day.weather).or_default() += 1);
    assert_eq!(*weather, json!(counts));
}
