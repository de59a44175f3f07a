//! Whether bytes from the outside become text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether content becomes text or stays bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Encoding {
    /// Text; content that is not text is an error.
    Text,
    /// Bytes, whatever the content is.
    Bytes,
    /// Text where the content is text, else bytes.
    Auto,
}
