//! How far a reader is.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use flowcore::Timestamp;

/// How much later than it happened an event may become known, at most: clocks of servers differ, and
/// what is kept takes its time. A reader that comes again hears of this time once more.
pub(super) const LATEST: Duration = Duration::from_secs(10);

/// A moment of which a reader has heard everything that was known then. As text it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor(Timestamp);

/// The text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoCursor;

impl Cursor {
    pub(super) fn at(moment: Timestamp) -> Self {
        Self(moment)
    }

    /// From when on a reader that was here may have missed something.
    pub(super) fn since(self) -> Timestamp {
        let latest = i64::try_from(LATEST.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.0.as_micros().saturating_sub(latest))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{:x}", self.0.as_micros())
    }
}

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let digits = text.strip_prefix('t').filter(|digits| !digits.starts_with('+'));
        let micros = digits.and_then(|digits| i64::from_str_radix(digits, 16).ok());
        micros.filter(|micros| *micros >= 0).map(Timestamp::from_micros).map(Self).ok_or(NoCursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again_and_nothing_else() {
        let cursor = Cursor::at(Timestamp::from_micros(1_790_000_000_123_456));
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "t", "7", "t-1", "t+1", "tx", "tffffffffffffffffff", " t1"] {
            assert_eq!(text.parse::<Cursor>(), Err(NoCursor), "{text}");
        }
    }
}
