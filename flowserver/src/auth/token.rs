//! Tokens: random texts that say who asks.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// What every token begins with, so that one that leaks is recognised.
const PREFIX: &str = "flw_";

/// How many random bytes a token has.
const BYTES: usize = 32;

/// How many bytes of their digest follow them: a text that was cut or mistyped is no token.
const CHECK: usize = 4;

/// A token: `flw_`, 32 random bytes and a checksum. It is shown once; only its digest is kept.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token([u8; BYTES]);

/// The text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoToken;

impl Token {
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// What is kept of it: the digest of the secret, which says nothing about it.
    pub(crate) fn digest(&self) -> String {
        let digest = Sha256::new().chain_update(b"flow.token").chain_update(self.0).finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The text that a client sends.
    pub(crate) fn reveal(&self) -> String {
        let mut bytes = self.0.to_vec();
        bytes.extend_from_slice(&check(&self.0));
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

fn check(bytes: &[u8; BYTES]) -> [u8; CHECK] {
    let digest = Sha256::digest(bytes);
    let mut check = [0; CHECK];
    check.copy_from_slice(&digest[..CHECK]);
    check
}

impl FromStr for Token {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        let text = text.strip_prefix(PREFIX).ok_or(NoToken)?;
        let decoded = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoToken)?;
        let (bytes, sum) = decoded.split_at_checked(BYTES).ok_or(NoToken)?;
        let bytes: [u8; BYTES] = bytes.try_into().map_err(|_| NoToken)?;
        if sum != check(&bytes) {
            return Err(NoToken);
        }
        Ok(Self(bytes))
    }
}

/// Never the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(•••)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again_and_one_wrong_letter_is_no_token() {
        let token = Token::random().unwrap();
        let text = token.reveal();
        assert!(text.starts_with("flw_") && text.len() == 52, "{text}");
        assert_eq!(text.parse(), Ok(token.clone()));
        for position in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[position] = if wrong[position] == b'x' { b'y' } else { b'x' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert_eq!(wrong.parse::<Token>(), Err(NoToken), "{position}");
        }
        for wrong in ["", "flw_", &text[..51], &format!("{text}A"), "Bearer"] {
            assert_eq!(wrong.parse::<Token>(), Err(NoToken), "{wrong}");
        }
        assert!(!format!("{token:?}").contains(&text[4..12]));
        assert!(!token.digest().contains(&text[4..12]));
    }
}
