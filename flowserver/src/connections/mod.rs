//! Connections: how many there may be, how they are accepted, how long they may take, and how they end.

mod draining;
mod paced;
mod places;
mod serve;

pub(crate) use draining::Draining;
pub(crate) use places::{Place, Places};
pub(crate) use serve::{Door, Peer, serve};
