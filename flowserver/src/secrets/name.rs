//! How secrets may be called, and how large they may be.

/// The longest name.
const MOST_NAME: usize = 128;

/// The longest value, in bytes: a certificate with its chain fits, a file does not.
pub(crate) const MOST_VALUE: usize = 64 << 10;

/// Whether a secret may be called so: as in `secrets.<name>`, without quotes.
pub(crate) fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=MOST_NAME).contains(&text.len())
        && !text.as_bytes()[0].is_ascii_digit()
        && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_expressions_can_write() {
        for good in ["a", "_", "API_KEY", "k2", &"x".repeat(MOST_NAME)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "2k", "a-b", "a.b", "a b", "ä", "a\0", &"x".repeat(MOST_NAME + 1)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
