//! The form in which data is kept: JSON in which what came from a secret is sealed, and large values
//! stand apart.
//!
//! A sealed value is `{"$sealed": "<base64>"}`, one that stands apart `{"$blob": "<digest>"}`. Objects
//! that look so by chance are escaped as those that look like bytes are.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::ser::{Error as _, SerializeMap, Serializer};

use super::{Digest, Tainted, Value};

/// The key that marks what is sealed.
pub(super) const SEALED_KEY: &str = "$sealed";

/// The key that marks what stands apart.
pub(super) const BLOB_KEY: &str = "$blob";

/// The longest JSON of a value, in bytes, that does not stand apart: 1 MiB.
pub const MAX_INLINE: usize = 1 << 20;

/// Seals what came from secrets. Calls of one key may come from many threads.
pub trait Seal: Send + Sync {
    /// What only the holder of the key can open. Each call gives something else.
    fn seal(&self, plain: &[u8]) -> Vec<u8>;

    /// What was sealed; `None` when it was not sealed with this key, or was changed.
    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>>;
}

/// Data in the form in which it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// JSON text.
    pub text: Vec<u8>,
    /// The values that stand apart, each once.
    pub apart: Vec<(Digest, Vec<u8>)>,
}

/// Why data cannot be kept, or what is kept cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoredError {
    /// Something came from a secret, and there is no key.
    #[error("what comes from a secret cannot be kept without a sealing key")]
    NoKey,
    /// Something was sealed with another key, or was changed.
    #[error("what is sealed cannot be opened with this key")]
    WrongKey,
    /// A value that stands apart is not there.
    #[error("a value that stands apart is missing: {0}")]
    Missing(Digest),
    /// It is not what is expected.
    #[error("{0}")]
    Malformed(String),
}

/// Writes and reads data in the form in which it is kept.
#[derive(Clone, Default)]
pub struct Codec {
    seal: Option<Arc<dyn Seal>>,
}

/// What values do while they are written or read as they are kept.
///
/// Values stand deep inside of events, which serde writes and reads as it does everything else; this
/// is how they know that it is not for somebody's eyes. It is there only during a call of [`Codec`].
struct Pass {
    seal: Option<Arc<dyn Seal>>,
    /// Whether large values stand apart.
    parts: bool,
    apart: Vec<(Digest, Vec<u8>)>,
    known: HashMap<Digest, Arc<[u8]>>,
    missing: Vec<Digest>,
    error: Option<StoredError>,
}

thread_local! {
    static PASS: RefCell<Option<Pass>> = const { RefCell::new(None) };
}

impl Codec {
    /// With this key; without one, nothing that came from a secret can be kept.
    pub fn new(seal: Option<Arc<dyn Seal>>) -> Self {
        Self { seal }
    }

    /// Writes data.
    ///
    /// # Errors
    /// [`StoredError::NoKey`].
    pub fn write<T: Serialize + ?Sized>(&self, data: &T) -> Result<Stored, StoredError> {
        let stored = self.write_once(data, false)?;
        // Most data is small, and then nothing in it is large.
        if stored.text.len() <= MAX_INLINE { Ok(stored) } else { self.write_once(data, true) }
    }

    fn write_once<T: Serialize + ?Sized>(
        &self,
        data: &T,
        parts: bool,
    ) -> Result<Stored, StoredError> {
        let (text, pass) = self.within(parts, HashMap::new(), || serde_json::to_vec(data));
        let text = pass.checked(text)?;
        Ok(Stored { text, apart: pass.apart })
    }

    /// Reads data, with the values that stand apart at hand.
    ///
    /// # Errors
    /// [`StoredError`].
    pub fn read<T: DeserializeOwned>(
        &self,
        text: &[u8],
        apart: HashMap<Digest, Arc<[u8]>>,
    ) -> Result<T, StoredError> {
        let (data, pass) = self.within(false, apart, || serde_json::from_slice(text));
        match pass.missing.first() {
            Some(missing) => Err(StoredError::Missing(*missing)),
            None => pass.checked(data),
        }
    }

    /// Which values stand apart from this text.
    pub fn parts(&self, text: &[u8]) -> Vec<Digest> {
        let marker = b"{\"$blob\":\"";
        if !text.windows(marker.len()).any(|window| window == marker) {
            return Vec::new();
        }
        let read = || serde_json::from_slice::<Value>(text);
        self.within(false, HashMap::new(), read).1.missing
    }

    fn within<T>(
        &self,
        parts: bool,
        known: HashMap<Digest, Arc<[u8]>>,
        pass: impl FnOnce() -> T,
    ) -> (T, Pass) {
        let (apart, missing) = (Vec::new(), Vec::new());
        let new = Pass { seal: self.seal.clone(), parts, apart, known, missing, error: None };
        let outer = PASS.replace(Some(new));
        let done = pass();
        let pass = PASS.replace(outer).expect("it was put there above");
        (done, pass)
    }
}

impl Pass {
    fn checked<T>(&self, done: Result<T, serde_json::Error>) -> Result<T, StoredError> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None => done.map_err(|error| StoredError::Malformed(error.to_string())),
        }
    }
}

/// Errors that serde hands on are texts; the first one is kept as it is.
fn note(error: StoredError) {
    PASS.with_borrow_mut(|pass| {
        if let Some(pass) = pass {
            pass.error.get_or_insert(error);
        }
    });
}

/// Whether data is being written, so that what came from a secret is sealed.
pub(super) fn is_under_way() -> bool {
    PASS.with_borrow(Option::is_some)
}

/// Writes a value sealed.
pub(super) fn write_sealed<S: Serializer>(
    tainted: &Tainted,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let seal = PASS.with_borrow(|pass| pass.as_ref().and_then(|pass| pass.seal.clone()));
    let Some(seal) = seal else {
        note(StoredError::NoKey);
        return Err(S::Error::custom(StoredError::NoKey));
    };
    let plain = serde_json::to_vec(&tainted.reveal().reveal()).map_err(S::Error::custom)?;
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(SEALED_KEY, &STANDARD.encode(seal.seal(&plain)))?;
    map.end()
}

/// What stands for a value in the data that is being written, if it is a large one.
///
/// Asked only for outermost values. What is inside of one that stands apart is not looked at again.
pub(super) fn put_apart(value: &Value) -> Option<Digest> {
    let parts = PASS.with_borrow(|pass| pass.as_ref().is_some_and(|pass| pass.parts));
    if !parts || value.is_small() {
        return None;
    }
    // Only outermost ones are large enough to ask.
    set_parts(false);
    let text = serde_json::to_vec(value);
    set_parts(true);
    // An error was noted, and comes up again when the value is written where it stands.
    let text = text.ok().filter(|text| text.len() > MAX_INLINE)?;
    let digest = Digest::of_bytes("flow.blob", &text);
    PASS.with_borrow_mut(|pass| {
        let apart = &mut pass.as_mut()?.apart;
        if !apart.iter().any(|(known, _)| *known == digest) {
            apart.push((digest, text));
        }
        Some(digest)
    })
}

fn set_parts(parts: bool) {
    PASS.with_borrow_mut(|pass| {
        if let Some(pass) = pass {
            pass.parts = parts;
        }
    });
}

/// The value that a marker stands for; `None` when it is no marker, or nothing is being read.
pub(super) fn read_marker(key: &str, value: &Value) -> Result<Option<Value>, &'static str> {
    if !is_under_way() {
        return Ok(None);
    }
    let Some(text) = value.as_str() else { return Ok(None) };
    let read = match key {
        SEALED_KEY => read_sealed(text),
        BLOB_KEY => read_apart(text),
        _ => return Ok(None),
    };
    // What is noted says why.
    read.map(Some).map_err(|error| {
        note(error);
        "what is kept cannot be read"
    })
}

fn read_sealed(text: &str) -> Result<Value, StoredError> {
    let malformed = || StoredError::Malformed("`$sealed` holds text that is not base64".to_owned());
    let sealed = STANDARD.decode(text).map_err(|_| malformed())?;
    let seal = PASS.with_borrow(|pass| pass.as_ref().and_then(|pass| pass.seal.clone()));
    let plain = seal.ok_or(StoredError::NoKey)?.open(&sealed).ok_or(StoredError::WrongKey)?;
    read_part(&plain).map(Value::tainted)
}

/// One that is missing is noted, and stands as null for now.
fn read_apart(text: &str) -> Result<Value, StoredError> {
    let malformed = || StoredError::Malformed(format!("`{text}` is no digest"));
    let digest: Digest = text.parse().map_err(|_| malformed())?;
    let bytes = PASS.with_borrow_mut(|pass| {
        let pass = pass.as_mut()?;
        let known = pass.known.get(&digest).cloned();
        if known.is_none() && !pass.missing.contains(&digest) {
            pass.missing.push(digest);
        }
        known
    });
    bytes.map_or(Ok(Value::Null), |bytes| read_part(&bytes))
}

fn read_part(text: &[u8]) -> Result<Value, StoredError> {
    serde_json::from_slice(text).map_err(|error| StoredError::Malformed(error.to_string()))
}

impl Value {
    /// Whether it is certainly written in less than [`MAX_INLINE`] bytes. O(1).
    fn is_small(&self) -> bool {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => true,
            // An escape has up to six bytes.
            Self::String(text) => text.len() < MAX_INLINE / 6,
            Self::Bytes(bytes) => bytes.len() < MAX_INLINE / 2,
            Self::Array(_) | Self::Object(_) | Self::Tainted(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Object;

    struct Xor(u8);

    impl Seal for Xor {
        fn seal(&self, plain: &[u8]) -> Vec<u8> {
            [self.0].into_iter().chain(plain.iter().map(|byte| byte ^ self.0)).collect()
        }

        fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
            let (key, rest) = sealed.split_first()?;
            (*key == self.0).then(|| rest.iter().map(|byte| byte ^ self.0).collect())
        }
    }

    fn codec(key: u8) -> Codec {
        Codec::new(Some(Arc::new(Xor(key))))
    }

    fn object(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
        Value::from(Object::from_entries(entries).unwrap())
    }

    #[test]
    fn what_came_from_a_secret_is_sealed_and_comes_back_as_such() {
        let value = object([("token", Value::from("s3cret").tainted()), ("user", "ada".into())]);
        let stored = codec(7).write(&value).unwrap();
        let text = String::from_utf8(stored.text.clone()).unwrap();
        assert!(text.contains("$sealed") && !text.contains("s3cret"), "{text}");
        let back: Value = codec(7).read(&stored.text, HashMap::new()).unwrap();
        assert_eq!(back, value);
        assert!(back.get("token").is_some_and(Value::is_tainted));
        assert!(!back.get("user").is_some_and(Value::is_tainted));
        let wrong = codec(8).read::<Value>(&stored.text, HashMap::new());
        assert_eq!(wrong, Err(StoredError::WrongKey));
        assert_eq!(Codec::default().write(&value), Err(StoredError::NoKey));
        // Outside of a codec, nothing is sealed or opened.
        assert_eq!(value.to_json_text(), r#"{"token":"•••","user":"ada"}"#);
        let plain: Value = serde_json::from_slice(&stored.text).unwrap();
        assert!(!plain.get("token").is_some_and(Value::is_tainted));
    }

    #[test]
    fn large_values_stand_apart_once() {
        let large = Value::from("x".repeat(MAX_INLINE));
        let nested = object([("deep", large.clone())]);
        let data = vec![large.clone(), Value::from("small"), nested, large.clone()];
        let stored = codec(1).write(&data).unwrap();
        assert!(stored.text.len() < 1000);
        assert_eq!(stored.apart.len(), 2);
        let digests: Vec<Digest> = stored.apart.iter().map(|(digest, _)| *digest).collect();
        assert_eq!(codec(1).parts(&stored.text), digests);
        let missing = codec(1).read::<Vec<Value>>(&stored.text, HashMap::new());
        assert_eq!(missing, Err(StoredError::Missing(digests[0])));
        let apart = stored.apart.into_iter().map(|(digest, text)| (digest, text.into()));
        let back: Vec<Value> = codec(1).read(&stored.text, apart.collect()).unwrap();
        assert_eq!(back, data);
    }

    #[test]
    fn look_alikes_are_what_they_were() {
        let digest = Digest::of(&Value::Null).to_string();
        for value in [
            object([("$sealed", "AAAA".into())]),
            object([("$blob", digest.as_str().into())]),
            object([("$$blob", digest.as_str().into())]),
            object([("$blob", 3.into())]),
        ] {
            let stored = codec(1).write(&value).unwrap();
            assert!(codec(1).parts(&stored.text).is_empty());
            assert_eq!(codec(1).read::<Value>(&stored.text, HashMap::new()).unwrap(), value);
        }
    }

    #[test]
    fn a_secret_that_is_large_stands_apart_sealed() {
        let data = vec![Value::from("x".repeat(MAX_INLINE)).tainted()];
        let stored = codec(1).write(&data).unwrap();
        let (digest, text) = stored.apart[0].clone();
        assert!(!String::from_utf8(text.clone()).unwrap().contains("xxxx"));
        let apart = HashMap::from([(digest, Arc::from(text))]);
        let back: Vec<Value> = codec(1).read(&stored.text, apart).unwrap();
        assert!(back[0].is_tainted() && back == data);
    }
}
