//! How a node fails: data that travels in an event.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::expression::conversion_hint;
use crate::value::{TypedError, ValueError};

/// The failure of an attempt.
///
/// The code is stable: retries, tests and users decide by it, never by the message.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeError(Box<Body>);

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Body {
    code: Cow<'static, str>,
    message: String,
    retryable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    causes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<Cow<'static, str>>,
}

impl NodeError {
    /// A failure that another attempt would meet again.
    ///
    /// `code` is a stable dotted name such as `http.status`; `message` a lowercase fragment that
    /// names the thing.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self(Box::new(Body {
            code: code.into(),
            message: message.into(),
            retryable: false,
            retry_after_ms: None,
            causes: Vec::new(),
            hint: None,
        }))
    }

    /// A failure that may pass: the retry policy decides about another attempt.
    pub fn retryable(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(code, message).with_retryable(true)
    }

    /// `config.invalid`: the node's config does not make sense.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new("config.invalid", message)
    }

    /// `input.missing`: a port that needs a value has none.
    pub fn missing_input(port: &str) -> Self {
        Self::new("input.missing", format!("input port `{port}` has no value"))
            .with_hint("connect the port, or give the value in `config`")
    }

    /// `input.invalid`: a port has a value that the node cannot use.
    /// Where a filter converts the one to the other, a hint names it.
    pub fn invalid_input(port: &str, expected: &str, found: &str) -> Self {
        let message = format!("input port `{port}` expects {expected} and found {found}");
        let error = Self::new("input.invalid", message);
        match conversion_hint(found, expected) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// `config.invalid`: the config is not what the node's Rust type reads.
    pub(crate) fn untyped_config(error: &TypedError) -> Self {
        let config = Self::config(error.to_string());
        match error.hint() {
            Some(hint) => config.with_hint(hint),
            None => config,
        }
    }

    /// Says whether another attempt may succeed.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = retryable;
        self
    }

    /// Asks for at least this wait before the next attempt.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds an error and its sources as causes.
    #[must_use]
    pub fn with_source(mut self, source: &dyn std::error::Error) -> Self {
        let mut next = Some(source);
        while let Some(error) = next {
            self.0.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// Changes every text of it but the code.
    pub(crate) fn map_texts(mut self, change: impl Fn(String) -> String) -> Self {
        let body = &mut *self.0;
        body.message = change(std::mem::take(&mut body.message));
        body.causes = std::mem::take(&mut body.causes).into_iter().map(&change).collect();
        body.hint = body.hint.take().map(|hint| match hint {
            Cow::Borrowed(hint) => Cow::Borrowed(hint),
            Cow::Owned(hint) => Cow::Owned(change(hint)),
        });
        self
    }

    /// The stable code.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// What went wrong, without the causes.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether another attempt may succeed.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// The least wait before the next attempt, if the failure named one.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after_ms.map(Duration::from_millis)
    }

    /// The errors behind this one, outermost first, as text.
    pub fn causes(&self) -> &[String] {
        &self.0.causes
    }

    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

/// The message, then the causes.
impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        self.0.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl fmt::Debug for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.0.code)
    }
}

impl std::error::Error for NodeError {}

impl From<ValueError> for NodeError {
    fn from(error: ValueError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
