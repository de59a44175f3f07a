//! Sizes as people read them.

const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];

/// A size with two or three digits: `512 bytes`, `1.5 KiB`, `31 MiB`.
pub(crate) fn show(bytes: u64) -> String {
    if bytes < 1024 {
        return if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") };
    }
    let power = (bytes.ilog2() / 10).clamp(1, 4);
    let (whole, rest) = (bytes >> (10 * power), bytes & ((1 << (10 * power)) - 1));
    let tenths =
        if whole < 10 { format!(".{}", (rest * 10) >> (10 * power)) } else { String::new() };
    let unit = UNITS.get(power as usize - 1).copied().unwrap_or_default();
    format!("{whole}{tenths} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_or_three_digits() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1535, "1.4 KiB"),
            (20 << 10, "20 KiB"),
            ((1 << 20) - 1, "1023 KiB"),
            (3 << 29, "1.5 GiB"),
            (5 << 40, "5.0 TiB"),
            (u64::MAX, "16777215 TiB"),
        ] {
            assert_eq!(show(bytes), text);
        }
    }
}
