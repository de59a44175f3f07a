//! Types, validation, expressions, plan and machine of the Flow workflow engine.
//!
//! Everything here is plain data and pure functions: no async runtime, no I/O, no clock, no
//! randomness.
#![warn(missing_docs)]

mod control;
pub mod drawing;
pub mod duration;
mod event;
pub mod expression;
mod id;
pub mod machine;
mod node;
pub mod plan;
mod retry;
mod time;
mod trace;
pub mod value;
mod workflow;

pub use async_trait::async_trait;

pub use control::{ControlKind, OnItemError};
pub use event::{
    AfterFailure, CacheUse, Change, Changes, EVENT_FORMAT, Event, EventBody, ExecutionError,
    ExecutionEvent, FailureKind, Instance, NodeMessage, NotUndone, Opens, Part, PauseReason,
    Record, ScopeEnd, ScopeId, SkipReason, UndoInput, Wait,
};
pub use id::{ExecutionId, IdError, MAX_ID_LENGTH, NodeId, ProjectId, WorkflowId, check_id};
pub use machine::{ExecutionResult, ExecutionStatus, NodeResult, NodeStatus};
pub use node::{
    Access, AttemptSignals, CancelReason, Cancellation, Cancelled, ContextBuilder, Effect,
    EffectOf, EventSink, Example, Execution, ExecutionScope, Hidden, InlineNode, Node, NodeConfig,
    NodeContext, NodeDescriptor, NodeError, NodeEvent, NodeFactory, NodeInstance, NodeOutput,
    NodeRegistrations, NodeRegistry, NodeState, Origin, Policy, Port, PortName, Reach,
    RegisteredNode, Secrets,
};
pub use plan::{
    AddressError, CalledWorkflow, Compiled, ConcurrencyLimit, Graph, Held, NoWorkflow, NodeIndex,
    Plan, PlanNode, RateLimit, RateName, SharedInstance, SharedPlan, SignalError, WorkflowSource,
    compile, compile_with, compile_within,
};
pub use time::{Clock, Timestamp};
pub use trace::{ExecutionTrace, SpanId, TraceContext, TraceContextError, TraceId};
pub use value::{Array, Digest, Number, Object, Value, ValueError};
pub use workflow::{
    CODES, CacheSpec, Checked, CodeDoc, ConcurrencySpec, Connection, CronTrigger, Diagnostic,
    Diagnostics, DueTimes, Durability, EventTrigger, Format, HttpMethod, InputSpec, Join, Limits,
    Listener, Location, Missed, NodeSpec, OnError, OnLimit, Position, RateLimitSpec, Respond,
    RetryPolicy, SchemaError, SchemaErrorKind, Settings, Severity, Source, Trigger, TriggerKind,
    UndoSpec, WebhookTrigger, Workflow, WorkflowSpec, check, check_value, check_with,
    check_with_secrets, check_within, explain_code, is_topic, nearest, read_workflow, reading,
    resolve_inputs, workflow_schema,
};
