//! How digests and signatures are written.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the bytes of a digest become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DigestFormat {
    /// Hexadecimal, in lower case.
    Hex,
    /// Base64 with padding.
    Base64,
}

impl DigestFormat {
    /// The text of these bytes.
    pub(crate) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex(bytes),
            Self::Base64 => STANDARD.encode(bytes),
        }
    }

    /// The bytes of a text: hexadecimal in either case, base64 with or without padding.
    pub(crate) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => from_hex(text),
            Self::Base64 => STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| DIGITS[usize::from(digit)]).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |sign: &u8| char::from(*sign).to_digit(16).and_then(|digit| digit.try_into().ok());
    let digits: Vec<u8> = text.as_bytes().iter().map(digit).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        for format in [DigestFormat::Hex, DigestFormat::Base64] {
            assert_eq!(format.decode(&format.encode(&bytes)), Some(bytes.clone()));
        }
        assert_eq!(DigestFormat::Hex.encode(&[0, 0xab, 0xff]), "00abff");
        assert_eq!(DigestFormat::Hex.decode("00ABff"), Some(vec![0, 0xab, 0xff]));
        for text in ["0", "0g", "é", " 00"] {
            assert_eq!(DigestFormat::Hex.decode(text), None, "{text}");
        }
        assert_eq!(DigestFormat::Base64.decode("/w"), Some(vec![255]));
        assert_eq!(DigestFormat::Base64.decode("-w=="), None);
    }
}
