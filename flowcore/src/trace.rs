//! Where executions stand in traces, as the W3C's Trace Context says it.
//!
//! The spans of an execution have ids that follow from what they are of: whoever goes on with it gives
//! its spans the same parents, and nothing has to be kept for that.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Instance;
use crate::id::ExecutionId;
use crate::value::Digest;

/// Whoever began the trace has it recorded.
const SAMPLED: u8 = 1;
/// The last seven bytes of the trace's id are random.
const RANDOM: u8 = 2;

/// The longest `tracestate` that is passed on: what everybody has to pass on, and no more.
const MOST_STATE: usize = 512;

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The id with these bytes; `None` when all are zero, which is no id.
            pub fn from_bytes(bytes: [u8; $bytes]) -> Option<Self> {
                (bytes != [0; $bytes]).then_some(Self(bytes))
            }

            /// The bytes.
            pub fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            fn read(text: &str) -> Option<Self> {
                let mut bytes = [0; $bytes];
                read_hex(text, &mut bytes)?;
                Self::from_bytes(bytes)
            }
        }

        /// Hexadecimal.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

hex_id! {
    /// Names a trace.
    TraceId, 16
}

hex_id! {
    /// Names a span within its trace.
    SpanId, 8
}

/// Lower-case digits only, as the standard wants it.
fn read_hex(text: &str, bytes: &mut [u8]) -> Option<()> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = (digit(*high)? << 4) | digit(*low)?;
    }
    Some(())
}

impl TraceId {
    /// The trace of an execution that nobody's trace led to: its id without the dashes.
    pub fn of_execution(execution: ExecutionId) -> Self {
        Self(*execution.as_uuid().as_bytes())
    }
}

impl SpanId {
    /// The span of an execution, from its start to its end.
    pub fn of_execution(execution: ExecutionId) -> Self {
        Self::derived("flow.span.execution", execution.as_uuid().as_bytes())
    }

    /// The span of an attempt. No two attempts of an execution have the same one: scopes are numbered,
    /// those of another round or iteration too.
    pub fn of_attempt(execution: ExecutionId, instance: Instance, attempt: u32) -> Self {
        let mut bytes = execution.as_uuid().as_bytes().to_vec();
        bytes.extend(instance.scope.0.to_be_bytes());
        bytes.extend(instance.node.to_be_bytes());
        bytes.extend(attempt.to_be_bytes());
        Self::derived("flow.span.attempt", &bytes)
    }

    fn derived(purpose: &str, bytes: &[u8]) -> Self {
        let digest = Digest::of_bytes(purpose, bytes);
        let (first, _) = digest.as_bytes().split_first_chunk().expect("a digest is longer");
        Self(*first)
    }
}

/// A span that others are to be the children of, with what is passed on besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Headers", into = "Headers")]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    flags: u8,
    state: Option<Arc<str>>,
}

/// Why a text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a traceparent is a version, the ids of a trace and a span, and flags: `00-…-…-01`")]
pub struct TraceContextError;

impl TraceContext {
    /// A span of a trace that begins here, and is recorded.
    pub fn new(trace_id: TraceId, span_id: SpanId) -> Self {
        Self { trace_id, span_id, flags: SAMPLED | RANDOM, state: None }
    }

    /// Reads what comes with a request. A `tracestate` that cannot be passed on is left out.
    ///
    /// # Errors
    /// [`TraceContextError`] when `traceparent` is none: there is no caller's trace then.
    pub fn read(traceparent: &str, tracestate: Option<&str>) -> Result<Self, TraceContextError> {
        let mut context: Self = traceparent.parse()?;
        let is_plain = |text: &&str| {
            (1..=MOST_STATE).contains(&text.len())
                && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        };
        context.state = tracestate.map(str::trim).filter(is_plain).map(Arc::from);
        Ok(context)
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn with_span(&self, span_id: SpanId) -> Self {
        Self { span_id, ..self.clone() }
    }

    /// Whether whoever began the trace has it recorded. Spans of others are not wanted.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// What vendors have written down, as it came.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// As `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id, flags, state: _ } = self;
        write!(f, "00-{trace_id}-{span_id}-{flags:02x}")
    }
}

/// From `traceparent`. One of a later version is read as far as this one knows it.
impl FromStr for TraceContext {
    type Err = TraceContextError;

    fn from_str(text: &str) -> Result<Self, TraceContextError> {
        let mut parts = text.trim().splitn(5, '-');
        let mut read = || {
            let mut next = || parts.next();
            let (mut version, mut flags) = ([0], [0]);
            read_hex(next()?, &mut version)?;
            let (trace_id, span_id) = (TraceId::read(next()?)?, SpanId::read(next()?)?);
            read_hex(next()?, &mut flags)?;
            let has_more = next().is_some();
            let is_known = match version[0] {
                0 => !has_more,
                0xff => false,
                _ => true,
            };
            let flags = flags[0] & (SAMPLED | RANDOM);
            is_known.then_some(Self { trace_id, span_id, flags, state: None })
        };
        read().ok_or(TraceContextError)
    }
}

/// A context as it is kept.
#[derive(Clone, Serialize, Deserialize)]
struct Headers {
    traceparent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracestate: Option<Arc<str>>,
}

impl From<TraceContext> for Headers {
    fn from(context: TraceContext) -> Self {
        Self { traceparent: context.to_string(), tracestate: context.state }
    }
}

impl TryFrom<Headers> for TraceContext {
    type Error = TraceContextError;

    fn try_from(headers: Headers) -> Result<Self, TraceContextError> {
        Self::read(&headers.traceparent, headers.tracestate.as_deref())
    }
}

/// How an execution is traced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionTrace {
    /// The span of the execution, whether it is recorded or not.
    span: TraceContext,
    /// The span that it was started in.
    caller: Option<TraceContext>,
    /// Whether spans are made of what happens in it.
    has_spans: bool,
}

impl ExecutionTrace {
    /// The trace of an execution that was started in a span, or in none. `None` when there is neither
    /// such a span nor anybody who makes spans of executions.
    pub fn new(
        execution: ExecutionId,
        caller: Option<TraceContext>,
        has_spans: bool,
    ) -> Option<Self> {
        let span_id = SpanId::of_execution(execution);
        let span = match &caller {
            Some(caller) => caller.with_span(span_id),
            None if has_spans => TraceContext::new(TraceId::of_execution(execution), span_id),
            None => return None,
        };
        Some(Self { span, caller, has_spans })
    }

    /// The trace.
    pub fn trace_id(&self) -> TraceId {
        self.span.trace_id
    }

    /// The span of the execution, the parent of those of its attempts.
    pub fn span(&self) -> &TraceContext {
        &self.span
    }

    /// The span that the execution was started in.
    pub fn caller(&self) -> Option<&TraceContext> {
        self.caller.as_ref()
    }

    /// Whether spans are to be made of what happens in it.
    pub fn is_recorded(&self) -> bool {
        self.has_spans && self.span.is_sampled()
    }

    /// What an attempt passes on: its own span or, where no spans are made, the one that the execution was
    /// started in.
    pub fn of_attempt(
        &self,
        execution: ExecutionId,
        instance: Instance,
        attempt: u32,
    ) -> TraceContext {
        match &self.caller {
            Some(caller) if !self.has_spans => caller.clone(),
            _ => self.span.with_span(SpanId::of_attempt(execution, instance, attempt)),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::event::ScopeId;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_the_standard_allows_is_read_and_nothing_else() {
        let context = TraceContext::read(PARENT, Some("a=b,c=d")).unwrap();
        assert_eq!(context.to_string(), PARENT);
        assert_eq!(context.tracestate(), Some("a=b,c=d"));
        assert!(context.is_sampled());
        let later = format!("cc{}-what comes later", &PARENT[2..]);
        assert_eq!(later.parse::<TraceContext>().unwrap().to_string(), PARENT);
        // Flags of later versions are not passed on as if they were known.
        let flags = PARENT.replace("-01", "-fe");
        let context: TraceContext = flags.parse().unwrap();
        assert!(!context.is_sampled() && context.to_string().ends_with("-02"));
        for bad in [
            "",
            "00",
            &PARENT[1..],
            &PARENT[..54],
            &format!("{PARENT}-"),
            &format!("{PARENT}-more"),
            &format!("ff{}", &PARENT[2..]),
            &PARENT.to_uppercase(),
            &PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
            &PARENT.replace('-', "_"),
            &PARENT.replace("af", "äf"),
        ] {
            assert!(bad.parse::<TraceContext>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_state_that_cannot_be_a_header_is_left_out() {
        let long = "x".repeat(513);
        for bad in ["", " ", "a=b\r\nx: y", "a=ü", &long] {
            let context = TraceContext::read(PARENT, Some(bad)).unwrap();
            assert_eq!(context.tracestate(), None, "{bad:?}");
        }
    }

    #[test]
    fn a_context_is_kept_as_its_headers() {
        let context = TraceContext::read(PARENT, Some("a=b")).unwrap();
        let text = serde_json::to_string(&context).unwrap();
        assert_eq!(text, format!(r#"{{"traceparent":"{PARENT}","tracestate":"a=b"}}"#));
        assert_eq!(serde_json::from_str::<TraceContext>(&text).unwrap(), context);
        assert!(serde_json::from_str::<TraceContext>(r#"{"traceparent":"x"}"#).is_err());
    }

    #[test]
    fn spans_are_called_the_same_for_ever() {
        let uuid = Uuid::parse_str("0199c000-0000-7000-8000-000000000001").unwrap();
        let execution = ExecutionId::from_uuid(uuid);
        let instance = Instance { scope: ScopeId(3), node: 2 };
        assert_eq!(
            [
                TraceId::of_execution(execution).to_string(),
                SpanId::of_execution(execution).to_string(),
                SpanId::of_attempt(execution, instance, 1).to_string(),
            ],
            ["0199c000000070008000000000000001", "0dc6f3d3462a23b9", "9284642f5b58a46d"]
        );
        let others = [
            SpanId::of_attempt(execution, instance, 2),
            SpanId::of_attempt(execution, Instance { scope: ScopeId(2), node: 3 }, 1),
        ];
        assert!(others.iter().all(|other| *other != SpanId::of_attempt(execution, instance, 1)));
    }

    #[test]
    fn an_attempt_passes_on_its_own_span_or_that_of_the_caller() {
        let execution = ExecutionId::from_uuid(Uuid::from_u128(7));
        let caller = TraceContext::read(PARENT, Some("a=b")).unwrap();
        let attempt = |trace: ExecutionTrace| {
            trace.of_attempt(execution, Instance { scope: ScopeId(0), node: 0 }, 1)
        };
        assert_eq!(ExecutionTrace::new(execution, None, false), None);
        let passed = ExecutionTrace::new(execution, Some(caller.clone()), false).unwrap();
        assert!(!passed.is_recorded());
        assert_eq!(attempt(passed), caller);
        let own = ExecutionTrace::new(execution, Some(caller.clone()), true).unwrap();
        assert!(own.is_recorded());
        let own = attempt(own);
        assert_eq!((own.trace_id, own.tracestate()), (caller.trace_id, Some("a=b")));
        assert_ne!(own.span_id, caller.span_id);
        let unsampled = PARENT.replace("-01", "-00").parse().unwrap();
        let unsampled = ExecutionTrace::new(execution, Some(unsampled), true).unwrap();
        assert!(!unsampled.is_recorded());
        assert!(attempt(unsampled).to_string().ends_with("-00"));
        let first = ExecutionTrace::new(execution, None, true).unwrap();
        assert_eq!(first.trace_id(), TraceId::of_execution(execution));
        assert!(first.caller().is_none() && first.is_recorded());
    }
}
