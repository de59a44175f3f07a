//! What a body is, by its content type.

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, HeaderMap};

/// What `Content-Type` says; lower-case.
pub(super) struct ContentType(String);

impl ContentType {
    /// What these headers say.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Self(text.unwrap_or_default().to_ascii_lowercase())
    }

    fn essence(&self) -> &str {
        self.0.split(';').next().unwrap_or_default().trim()
    }

    /// Whether the body claims to be JSON.
    pub(super) fn is_json(&self) -> bool {
        let essence = self.essence();
        matches!(essence, "application/json" | "text/json") || essence.ends_with("+json")
    }

    /// Whether the body is bytes even where it happens to be text.
    pub(super) fn is_media(&self) -> bool {
        let kind = self.essence().split('/').next().unwrap_or_default();
        matches!(kind, "audio" | "font" | "image" | "video") && !self.essence().ends_with("+xml")
    }

    fn charset(&self) -> &'static encoding_rs::Encoding {
        let parameters = self.0.split(';').skip(1).filter_map(|part| part.split_once('='));
        let label = parameters.map(|(name, label)| (name.trim(), label.trim().trim_matches('"')));
        let label = label.filter(|(name, _)| *name == "charset").map(|(_, label)| label).next();
        let charset = label.and_then(|label| encoding_rs::Encoding::for_label(label.as_bytes()));
        charset.unwrap_or(encoding_rs::UTF_8)
    }

    /// The text, without a byte order mark; `None` when some of it makes no sense.
    pub(super) fn decode(&self, bytes: &[u8]) -> Option<Arc<str>> {
        let (text, _, malformed) = self.charset().decode(bytes);
        (!malformed).then(|| Arc::from(text))
    }

    /// The text, with replacements for what makes no sense.
    pub(super) fn decode_lossily(&self, bytes: &[u8]) -> String {
        self.charset().decode(bytes).0.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content_type(text: &str) -> ContentType {
        ContentType(text.to_owned())
    }

    #[test]
    fn content_types_are_told_apart() {
        for (text, json, media) in [
            ("application/json", true, false),
            ("application/problem+json; charset=utf-8", true, false),
            ("application/jsonlines", false, false),
            ("image/png", false, true),
            ("image/svg+xml", false, false),
            ("application/octet-stream", false, false),
            ("", false, false),
        ] {
            let content_type = content_type(text);
            assert_eq!((content_type.is_json(), content_type.is_media()), (json, media), "{text}");
        }
    }

    #[test]
    fn charsets_are_decoded() {
        for (content, bytes, text) in [
            ("text/plain", &b"\xc3\xa6"[..], Some("æ")),
            ("text/plain", b"\xe6", None),
            ("text/plain; charset=iso-8859-1", b"\xe6", Some("æ")),
            ("text/plain; x=y; charset=\"utf-16le\"", b"\xe6\0", Some("æ")),
            ("text/plain; charset=unheard-of", b"\xc3\xa6", Some("æ")),
            ("application/json", b"\xef\xbb\xbf{}", Some("{}")),
        ] {
            assert_eq!(content_type(content).decode(bytes).as_deref(), text, "{content}");
        }
    }
}
