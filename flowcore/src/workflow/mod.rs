//! The workflow definition and what can be wrong with it.

mod builder;
mod cache;
mod check;
mod codes;
mod concurrency;
mod definition;
mod diagnostic;
mod due_times;
mod inputs;
mod json_schema;
mod listener;
mod path;
mod place;
mod rate_limit;
mod reader;
pub mod reading;
mod schema;
mod source;
mod trigger;
mod validation;
mod writer;

pub use cache::CacheSpec;
pub use check::{Checked, check, check_with, check_with_secrets, check_within};
pub use codes::{CODES, CodeDoc, explain_code};
pub use concurrency::{ConcurrencySpec, OnLimit};
pub use definition::{
    Connection, Durability, InputSpec, Join, NodeSpec, OnError, Position, RetryPolicy, Settings,
    UndoSpec, Workflow, WorkflowSpec,
};
pub use diagnostic::{Diagnostic, Diagnostics, Location, Severity, nearest};
pub use due_times::DueTimes;
pub use inputs::resolve_inputs;
pub use json_schema::workflow_schema;
pub use listener::Listener;
pub(crate) use rate_limit::MAX_RATE;
pub use rate_limit::RateLimitSpec;
pub(crate) use reader::read_body;
pub use reader::read_workflow;
pub use schema::{SchemaError, SchemaErrorKind, check_value};
pub use source::{Format, Source};
pub use trigger::{
    CronTrigger, EventTrigger, HttpMethod, Missed, Respond, Trigger, TriggerKind, WebhookTrigger,
    is_topic,
};
pub use validation::Limits;
pub(crate) use validation::{check_config, check_definition, check_schema};
