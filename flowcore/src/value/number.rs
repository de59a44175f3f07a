//! Numbers: 64-bit integers stay exact, everything else is a finite float.

use std::fmt;

use super::ValueError;

/// A number that JSON has.
///
/// Two numbers are equal when they are the same kind and the same value: `1` differs from `1.0`.
#[derive(Clone, Copy, PartialEq)]
pub struct Number(Repr);

#[derive(Clone, Copy, PartialEq)]
enum Repr {
    Int(i64),
    /// Only above `i64::MAX`, so that each integer has one form.
    UInt(u64),
    Float(f64),
}

impl Number {
    /// A number from a float.
    ///
    /// # Errors
    /// [`ValueError::NotFinite`] for NaN and the infinities.
    pub fn from_f64(value: f64) -> Result<Self, ValueError> {
        if value.is_nan() {
            Err(ValueError::NotFinite("NaN"))
        } else if value.is_infinite() {
            Err(ValueError::NotFinite("infinity"))
        } else {
            Ok(Self(Repr::Float(value)))
        }
    }

    /// The integer, if it is one within the range of `i64`; floats without a fraction count.
    pub fn as_i64(self) -> Option<i64> {
        match self.0 {
            Repr::Int(value) => Some(value),
            Repr::UInt(_) => None,
            Repr::Float(value) => exact_integer(value),
        }
    }

    /// The integer, if it is one within the range of `u64`; floats without a fraction count.
    pub fn as_u64(self) -> Option<u64> {
        match self.0 {
            Repr::UInt(value) => Some(value),
            Repr::Int(_) | Repr::Float(_) => self.as_i64().and_then(|value| value.try_into().ok()),
        }
    }

    /// The number as a float; integers beyond 2^53 lose precision.
    pub fn as_f64(self) -> f64 {
        match self.0 {
            Repr::Int(value) => value as f64,
            Repr::UInt(value) => value as f64,
            Repr::Float(value) => value,
        }
    }

    /// Whether this is an integer, not a float.
    pub fn is_integer(self) -> bool {
        matches!(self.0, Repr::Int(_) | Repr::UInt(_))
    }

    /// Compares by numeric value, exactly: `1` equals `1.0`. A total order.
    pub fn compare(self, other: Self) -> std::cmp::Ordering {
        match (self.whole(), other.whole()) {
            (Some(a), Some(b)) => a.cmp(&b),
            // One of them has a fraction, and so is below 2^53, or is beyond every integer here:
            // rounding the other one to a float cannot carry it past.
            _ => self.as_f64().total_cmp(&other.as_f64()),
        }
    }

    /// The number as an integer, if it has no fraction and is not beyond what `i128` holds.
    fn whole(self) -> Option<i128> {
        // The largest power of two that `i128` holds.
        const LIMIT: f64 = 8.507_059_173_023_462e37;
        match self.0 {
            #[expect(clippy::cast_possible_truncation, reason = "whole and within range")]
            Repr::Float(value) => {
                (value.fract() == 0.0 && value.abs() <= LIMIT).then_some(value as i128)
            }
            Repr::Int(_) | Repr::UInt(_) => self.to_i128(),
        }
    }

    /// An integer, if it fits into 64 bits.
    pub(crate) fn from_i128(value: i128) -> Option<Self> {
        let signed = i64::try_from(value).ok().map(Self::from);
        signed.or_else(|| u64::try_from(value).ok().map(Self::from))
    }

    pub(crate) fn to_i128(self) -> Option<i128> {
        match self.0 {
            Repr::Int(value) => Some(value.into()),
            Repr::UInt(value) => Some(value.into()),
            Repr::Float(value) => exact_integer(value).map(i128::from),
        }
    }
}

fn exact_integer(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within range, checked here")]
    (value.fract() == 0.0 && (-LIMIT..LIMIT).contains(&value)).then_some(value as i64)
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(Repr::Int(value))
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(i64::try_from(value).map_or(Repr::UInt(value), Repr::Int))
    }
}

/// As JSON: floats always show that they are floats (`1.0`).
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Repr::Int(value) => value.fmt(f),
            Repr::UInt(value) => value.fmt(f),
            Repr::Float(value) => {
                f.write_str(&serde_json::to_string(&value).unwrap_or_else(|_| value.to_string()))
            }
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Number {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Repr::Int(value) => serializer.serialize_i64(value),
            Repr::UInt(value) => serializer.serialize_u64(value),
            Repr::Float(value) => serializer.serialize_f64(value),
        }
    }
}

impl Number {
    /// Hands the number to a serde visitor in its own form.
    pub(super) fn visit<'de, V, E>(self, visitor: V) -> Result<V::Value, E>
    where
        V: serde::de::Visitor<'de>,
        E: serde::de::Error,
    {
        match self.0 {
            Repr::Int(value) => visitor.visit_i64(value),
            Repr::UInt(value) => visitor.visit_u64(value),
            Repr::Float(value) => visitor.visit_f64(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_form() {
        assert_eq!(Number::from(7_u64), Number::from(7_i64));
        assert_eq!(Number::from(u64::MAX).as_u64(), Some(u64::MAX));
        assert_eq!(Number::from(u64::MAX).as_i64(), None);
        assert_eq!(Number::from_f64(2.0).unwrap().as_i64(), Some(2));
        assert_ne!(Number::from_f64(2.0).unwrap(), Number::from(2_i64));
        assert_eq!(Number::from_f64(2.0).unwrap().to_string(), "2.0");
        assert_eq!(Number::from_f64(9.3e18).unwrap().as_i64(), None);
        assert!(Number::from_f64(f64::NAN).is_err());
    }

    #[test]
    fn comparison_is_exact() {
        let big = Number::from(i64::MAX);
        let bigger = Number::from(u64::try_from(i64::MAX).unwrap() + 1);
        assert_eq!(big.compare(bigger), std::cmp::Ordering::Less);
        let two = Number::from(2_i64);
        assert_eq!(two.compare(Number::from_f64(2.0).unwrap()), std::cmp::Ordering::Equal);
    }

    #[test]
    fn comparison_is_a_total_order_at_the_edges() {
        let float = |value: f64| Number::from_f64(value).unwrap();
        let ordered = [
            float(f64::MIN),
            float(-1e38),
            float(-9_223_372_036_854_777_856.0),
            Number::from(i64::MIN),
            float(-0.5),
            float(-0.0),
            float(0.5),
            Number::from(9_007_199_254_740_993_i64),
            float(9_223_372_036_854_775_808.0),
            Number::from((1_u64 << 63) + 1),
            Number::from((1_u64 << 63) + 2),
            Number::from(u64::MAX),
            float(18_446_744_073_709_551_616.0),
            float(1e38),
            float(f64::MAX),
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(a.compare(*b), i.cmp(&j), "{a} and {b}");
            }
        }
        assert_eq!(float(-0.0).compare(Number::from(0_i64)), std::cmp::Ordering::Equal);
    }
}
