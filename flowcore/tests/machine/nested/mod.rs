//! Control nodes inside of each other: random ones, against a naive interpreter, with a stop after
//! every event.

mod full;
mod generate;
mod play;
mod properties;
mod reference;
mod tree;
mod undoing;
