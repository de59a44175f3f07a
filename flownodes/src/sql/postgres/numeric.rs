//! `numeric` from its binary form, with every digit.

use super::decode::Reader;

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

/// The number as PostgreSQL writes it; `None` when the bytes are no `numeric`.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let mut reader = Reader(bytes);
    let count = u16::from_be_bytes(reader.take()?);
    let weight = i32::from(i16::from_be_bytes(reader.take()?));
    let sign = u16::from_be_bytes(reader.take()?);
    let scale = usize::from(u16::from_be_bytes(reader.take()?));
    match sign {
        NAN => return Some("NaN".to_owned()),
        INFINITY => return Some("Infinity".to_owned()),
        MINUS_INFINITY => return Some("-Infinity".to_owned()),
        _ => {}
    }
    let groups: Vec<u16> =
        (0..count).map(|_| reader.take().map(u16::from_be_bytes)).collect::<Option<_>>()?;
    // Each group is four decimal digits; the first one stands for 10000^weight.
    let group = |power: i32| {
        let index = usize::try_from(weight - power).ok();
        index.and_then(|index| groups.get(index)).copied().unwrap_or(0)
    };
    let mut text = String::new();
    if sign == NEGATIVE {
        text.push('-');
    }
    text.push_str(&group(weight.max(0)).to_string());
    for power in (0..weight.max(0)).rev() {
        text.push_str(&format!("{:04}", group(power)));
    }
    if scale > 0 {
        let mut fraction = String::new();
        let mut power = -1;
        while fraction.len() < scale {
            fraction.push_str(&format!("{:04}", group(power)));
            power -= 1;
        }
        fraction.truncate(scale);
        text.push('.');
        text.push_str(&fraction);
    }
    Some(text)
}
