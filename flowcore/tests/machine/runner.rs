//! Runs a check on many cases, and shows the one that fails, made small.

use std::cell::Cell;
use std::sync::Once;

use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::generate::cases;
use crate::script::Case;

/// Each part has its own thread and its own seed.
pub(crate) const PARTS: u32 = 4;

/// Checks one part of so many cases. `FLOW_PROPERTY_CASES` asks for more, `FLOW_PROPERTY_SEED` for
/// others. Gives how many cases there are in all.
#[expect(clippy::print_stderr, reason = "the case that failed is shown once")]
pub(crate) fn run_part(part: u32, cases_in_all: u32, check: impl Fn(&Case)) -> u32 {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect(name));
    let seed: u32 = number("FLOW_PROPERTY_SEED").unwrap_or(0);
    let cases_in_all = number("FLOW_PROPERTY_CASES").unwrap_or(cases_in_all);
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    bytes[4..8].copy_from_slice(&part.to_le_bytes());
    let config = Config {
        cases: cases_in_all.div_ceil(PARTS),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    be_quiet(true);
    let result = runner.run(&cases(), |case| {
        check(&case);
        Ok(())
    });
    be_quiet(false);
    match result {
        Ok(()) => cases_in_all,
        Err(TestError::Fail(_, case)) => {
            eprintln!("FLOW_PROPERTY_SEED={seed} FLOW_PROPERTY_CASES={cases_in_all}, part {part}");
            eprintln!("{case:#?}");
            check(&case);
            panic!("the case failed only once");
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// While a failure is made smaller, its panics would fill the screen.
fn be_quiet(is_quiet: bool) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                hook(info);
            }
        }));
    });
    IS_QUIET.set(is_quiet);
}
