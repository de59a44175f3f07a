//! Identifiers: newtypes, never bare strings.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

/// The longest id, in bytes.
pub const MAX_ID_LENGTH: usize = 128;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text is empty.
    #[error("an id may not be empty")]
    Empty,
    /// The text is longer than [`MAX_ID_LENGTH`] bytes.
    #[error("an id has at most {MAX_ID_LENGTH} characters, this one has {0}")]
    TooLong(usize),
    /// A character outside `[A-Za-z0-9_-]`.
    #[error("an id has only letters, digits, `_` and `-`, this one has {0:?}")]
    Character(char),
}

impl IdError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "id.empty",
            Self::TooLong(_) => "id.too_long",
            Self::Character(_) => "id.character",
        }
    }
}

/// Checks that `text` matches `[A-Za-z0-9_-]{1,128}`.
pub fn check_id(text: &str) -> Result<(), IdError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if let Some(bad) = text.chars().find(|&c| !allowed(c)) {
        return Err(IdError::Character(bad));
    }
    if text.len() > MAX_ID_LENGTH {
        return Err(IdError::TooLong(text.len()));
    }
    Ok(())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Matches `[A-Za-z0-9_-]{1,128}`. Cloning is O(1).
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Makes an id from a text.
            ///
            /// # Errors
            /// [`IdError`] when the text does not match `[A-Za-z0-9_-]{1,128}`.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                check_id(text.as_ref())?;
                Ok(Self(Arc::from(text.as_ref())))
            }

            /// An id that was not checked yet: whoever makes one sees to it that validation does.
            #[allow(dead_code, reason = "not every kind of id needs it")]
            pub(crate) fn unchecked(text: &str) -> Self {
                Self(Arc::from(text))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The id as shared text; no copy.
            pub fn to_shared(&self) -> Arc<str> {
                self.0.clone()
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id! {
    /// The id of a workflow.
    WorkflowId
}
text_id! {
    /// The id of a node within its workflow.
    NodeId
}
text_id! {
    /// The id of a project: what belongs to one is not seen by another. `default` is the one of
    /// whoever names none.
    ProjectId
}

impl Default for ProjectId {
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

/// The id of one execution; whoever starts executions makes it (a UUID of version 7, so that ids
/// sort by time).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExecutionId(Uuid);

impl ExecutionId {
    /// Wraps a UUID.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID inside.
    pub fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ExecutionId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked() {
        assert_eq!(NodeId::new("fetch-1_A").unwrap(), "fetch-1_A");
        assert_eq!(NodeId::new(""), Err(IdError::Empty));
        assert_eq!(NodeId::new("../x"), Err(IdError::Character('.')));
        assert_eq!(NodeId::new("a".repeat(129)), Err(IdError::TooLong(129)));
        assert!(NodeId::new("a".repeat(128)).is_ok());
        assert!(NodeId::new("a1b2c3d4-e5f6-4890-abcd-ef1234567005").is_ok());
    }

    #[test]
    fn whoever_names_no_project_is_in_the_default_one() {
        assert_eq!(ProjectId::default(), ProjectId::new("default").unwrap());
    }
}
