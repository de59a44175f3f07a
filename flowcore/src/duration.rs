//! Durations as people write them.

use std::time::Duration;

const UNITS: [(&str, f64); 5] =
    [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];

/// Reads a duration: `30s`, `500ms`, `1h30m`, `1.5h`; a bare number is seconds.
///
/// # Errors
/// What was expected, for people: also for no duration at all, which some take for "at once" and
/// others for "never".
pub fn parse(text: &str) -> Result<Duration, String> {
    let seconds = match text.trim().parse::<f64>() {
        Ok(seconds) => Some(seconds),
        Err(_) => parse_parts(text.trim()),
    };
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let duration = duration.filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| "expected a duration such as `30s`, `500ms` or `1h30m`".to_owned())
}

fn parse_parts(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit = &rest[number..];
        let unit = &unit[..unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len())];
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit)?;
        seconds += rest[..number].parse::<f64>().ok()? * length;
        rest = rest[number + unit.len()..].trim_start();
    }
    (!text.is_empty()).then_some(seconds)
}

/// A duration with two or three digits: `42µs`, `2.4ms`, `230ms`, `1.2s`, `3m05s`, `1h02m`.
pub fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let millis = duration.as_secs_f64() * 1000.0;
    match seconds {
        0 if millis < 1.0 => format!("{}µs", duration.as_micros()),
        0 if millis < 10.0 => format!("{:.1}ms", (millis * 10.0).floor() / 10.0),
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{:.1}s", (millis / 100.0).floor() / 10.0),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let millis = |text: &str| parse(text).map(|duration| duration.as_millis()).ok();
        let good =
            [("30", 30_000), ("30s", 30_000), ("500ms", 500), ("1h30m", 5_400_000), ("1.5s", 1500)];
        for (text, expected) in good {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        assert_eq!(millis("1m 5s"), Some(65_000));
        for text in [
            "",
            "0",
            "0s",
            "s",
            "-1s",
            "1x",
            "1s2",
            "nan",
            "1e999s",
            "1..2s",
            "99999999999999999999d",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_shown() {
        let shown = |micros| show(Duration::from_micros(micros));
        let cases = [
            (4, "4µs"),
            (1_049, "1.0ms"),
            (9_960, "9.9ms"),
            (10_000, "10ms"),
            (999_999, "999ms"),
            (1_000_000, "1.0s"),
            (59_999_999, "59.9s"),
            (60_000_000, "1m00s"),
            (7_380_000_000, "2h03m"),
        ];
        for (micros, expected) in cases {
            assert_eq!(shown(micros), expected, "{micros}");
        }
    }
}
