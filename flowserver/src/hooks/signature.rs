//! Signatures of requests, as Standard Webhooks (<https://www.standardwebhooks.com>) says.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowcore::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Names a message; the same for each time that it is sent.
pub(super) const ID: HeaderName = HeaderName::from_static("webhook-id");

/// When the message was sent, in seconds since 1970.
pub(super) const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");

/// The signatures, with spaces between them.
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// How far the clocks of sender and server may be apart, the way of the message included.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// What secrets begin with.
const PREFIX: &str = "whsec_";

/// The longest id of a message.
const MOST_ID: usize = 256;

/// Why a request is not known to come from who knows the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsigned {
    /// The server has no such secret, or it is none that signs webhooks.
    #[error("the server cannot check signatures of this webhook")]
    NoSecret,
    #[error("the header `{0}` is missing, or is not what it should be")]
    BadHeader(&'static str),
    #[error("the request was signed too long ago, or in the future")]
    OtherTime,
    #[error("no signature fits")]
    NoneFits,
}

/// Checks that a request was signed with a secret, not long before this time; gives the id of the
/// message. Signatures are compared in constant time.
pub(crate) fn verify(
    secret: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<String, Unsigned> {
    let key = secret.and_then(key_of).ok_or(Unsigned::NoSecret)?;
    let text = |name: HeaderName, shown: &'static str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.filter(|text| !text.is_empty()).ok_or(Unsigned::BadHeader(shown))
    };
    let id = text(ID, "webhook-id")?;
    let timestamp = text(TIMESTAMP, "webhook-timestamp")?;
    let signatures = text(SIGNATURE, "webhook-signature")?;
    if id.len() > MOST_ID {
        return Err(Unsigned::BadHeader("webhook-id"));
    }
    let seconds: u64 = timestamp.parse().map_err(|_| Unsigned::BadHeader("webhook-timestamp"))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| Unsigned::NoSecret)?;
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    let fits = |signature: &str| {
        let signature = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
        signature.is_some_and(|signature| mac.clone().verify_slice(&signature).is_ok())
    };
    if !signatures.split(' ').any(fits) {
        return Err(Unsigned::NoneFits);
    }
    let sent = Timestamp::default().after(Duration::from_secs(seconds.min(1 << 40)));
    if now.since(sent).max(sent.since(now)) > TOLERANCE {
        return Err(Unsigned::OtherTime);
    }
    Ok(id.to_owned())
}

/// The key of a secret: `whsec_` and base64.
fn key_of(secret: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(secret.trim().strip_prefix(PREFIX)?).ok()?;
    (!key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// The example of the specification.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const MESSAGE: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SENT: u64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn at(seconds: u64) -> Timestamp {
        Timestamp::default().after(Duration::from_secs(seconds))
    }

    fn headers(all: &[(HeaderName, &str)]) -> HeaderMap {
        let all = all.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value)));
        all.map(|(name, value)| (name, value.unwrap())).collect()
    }

    fn check(signature: &str, now: u64) -> Result<String, Unsigned> {
        let sent = SENT.to_string();
        let all = [(ID, MESSAGE), (TIMESTAMP, &*sent), (SIGNATURE, signature)];
        verify(Some(SECRET), &headers(&all), BODY, at(now))
    }

    #[test]
    fn s41_the_example_of_the_specification_is_good() {
        assert_eq!(check(SIGNED, SENT), Ok(MESSAGE.to_owned()));
    }

    #[test]
    fn s41_one_of_several_signatures_is_enough() {
        let other = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
        for signatures in [
            format!("{other} {SIGNED}"),
            format!("{SIGNED} {other}"),
            format!("v1a,xxx v2,yyy {SIGNED}"),
        ] {
            assert!(check(&signatures, SENT).is_ok(), "{signatures}");
        }
        for signatures in [other, "v1,", "v1,%", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="]
        {
            assert_eq!(check(signatures, SENT), Err(Unsigned::NoneFits), "{signatures}");
        }
    }

    #[test]
    fn s41_what_was_signed_at_another_time_is_refused() {
        for now in [SENT - 300, SENT, SENT + 300] {
            assert!(check(SIGNED, now).is_ok(), "{now}");
        }
        for now in [SENT - 301, SENT + 301, 0] {
            assert_eq!(check(SIGNED, now), Err(Unsigned::OtherTime), "{now}");
        }
    }

    #[test]
    fn s41_every_header_is_needed_and_every_byte_counts() {
        let sent = SENT.to_string();
        let whole = [(ID, MESSAGE), (TIMESTAMP, &*sent), (SIGNATURE, SIGNED)];
        let verify = |all: &[_], body: &[u8]| verify(Some(SECRET), &headers(all), body, at(SENT));
        for missing in 0..3 {
            let mut some = whole.to_vec();
            let (name, _) = some.remove(missing);
            assert!(matches!(verify(&some, BODY), Err(Unsigned::BadHeader(_))), "{name}");
        }
        let later = (SENT + 1).to_string();
        for (position, value) in [(0, "msg_other"), (1, &*later)] {
            let mut other = whole.to_vec();
            other[position].1 = value;
            assert_eq!(verify(&other, BODY), Err(Unsigned::NoneFits), "{value}");
        }
        for position in 0..BODY.len() {
            let mut body = BODY.to_vec();
            body[position] ^= 1;
            assert_eq!(verify(&whole, &body), Err(Unsigned::NoneFits), "{position}");
        }
        let mut wrong = whole.to_vec();
        wrong[1].1 = "yesterday";
        assert_eq!(verify(&wrong, BODY), Err(Unsigned::BadHeader("webhook-timestamp")));
    }

    #[test]
    fn without_a_good_secret_nothing_is_good() {
        let sent = SENT.to_string();
        let all = headers(&[(ID, MESSAGE), (TIMESTAMP, &*sent), (SIGNATURE, SIGNED)]);
        let plain = SECRET.strip_prefix(PREFIX).unwrap();
        for secret in [None, Some(""), Some("whsec_"), Some("whsec_%"), Some(plain)] {
            assert_eq!(verify(secret, &all, BODY, at(SENT)), Err(Unsigned::NoSecret), "{secret:?}");
        }
    }
}
