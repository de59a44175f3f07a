//! The random workflows of the machine's tests, through the real driver: with nodes that do what
//! their script says, and time that is paused or does not matter.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

/// Cases in all: fewer than the machine alone has, because each is an execution with tasks.
const CASES: u32 = 400;

mod agreement;
mod agrees;
mod cast;
mod fit;
mod rates;
mod storm;
mod story;
mod theatre;

#[path = "../engine/support/flavours.rs"]
#[expect(dead_code, unused_macros, reason = "other tests need the rest")]
mod flavours;

#[path = "../../flowcore/tests/machine/generate.rs"]
mod generate;
#[path = "../../flowcore/tests/machine/nodes.rs"]
#[expect(dead_code, reason = "the tests of the machine have nodes that never run")]
mod nodes;
#[path = "../../flowcore/tests/machine/reference.rs"]
mod reference;
#[path = "../../flowcore/tests/machine/runner.rs"]
mod runner;
#[path = "../../flowcore/tests/machine/script.rs"]
mod script;
#[path = "../../flowcore/tests/machine/state.rs"]
mod state;
#[path = "../../flowcore/tests/machine/view.rs"]
mod view;
