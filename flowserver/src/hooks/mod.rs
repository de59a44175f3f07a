//! What requests to webhooks are: signed or not, what they bring, and what they are answered.

mod answer;
mod request;
mod signature;

pub(crate) use answer::{Watch, answer_of_node, answer_of_outputs, contained};
pub(crate) use request::{Came, read_body};
pub(crate) use signature::{Unsigned, verify};
