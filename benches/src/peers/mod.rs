//! Other engines in Rust.
