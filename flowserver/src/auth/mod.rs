//! Who asks, and what they may do.

mod guard;
mod refused;
mod role;
mod throttle;
mod token;
mod tokens;

pub(crate) use guard::{Caller, Guard, SESSION, guard, refuse, refuse_with};
pub(crate) use refused::Refused;
pub(crate) use role::Role;
pub(crate) use throttle::Throttle;
pub(crate) use token::Token;
pub(crate) use tokens::{TokenRecord, Tokens};
