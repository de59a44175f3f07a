//! Executions on stores that are on a disk: the driver and the store as a program has them, on both
//! tokio flavours.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../engine/support/flavours.rs"]
#[expect(dead_code, unused_macros, reason = "other tests need the rest")]
mod flavours;

#[path = "../random/agrees.rs"]
mod agrees;
#[path = "../random/cast.rs"]
mod cast;
#[path = "../random/fit.rs"]
#[expect(dead_code, reason = "here, times are shorter")]
mod fit;
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
#[path = "../random/story.rs"]
mod story;
#[path = "../random/theatre.rs"]
#[expect(dead_code, reason = "here, executions are kept")]
mod theatre;
#[path = "../../flowcore/tests/machine/view.rs"]
mod view;

mod cancels;
mod dice;
#[cfg(target_os = "linux")]
mod full;
mod loads;
mod panics;
mod places;
mod random;
mod starts;
mod still;
mod stuck;
