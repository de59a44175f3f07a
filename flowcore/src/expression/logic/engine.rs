//! The engine behind the rules, and the budget of an evaluation.

use std::cell::Cell;
use std::sync::LazyLock;

use datalogic_rs::bumpalo::Bump;
use datalogic_rs::operator::EvalContext;
use datalogic_rs::{
    CustomOperator, DataValue, DivisionByZeroHandling, Engine, Error, EvaluationConfig,
};

/// Steps that one evaluation may take: bodies of `map`, `filter`, `reduce` and their like.
///
/// As many as an expression may take.
const FUEL: u32 = 100_000;

/// What an evaluation may allocate beyond its data.
///
/// A `reduce` that doubles a list would fill any memory in forty steps.
const MEMORY: usize = 64 * 1024 * 1024;

/// The operator that is put around each body and counts it. The name cannot be written in a rule:
/// it is not among those that exist.
pub(super) const STEP: &str = "\u{0}step";

/// The engine: constant, without folding, so that what fails does so when it is evaluated.
pub(super) fn engine() -> &'static Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
        let config =
            EvaluationConfig::default().with_division_by_zero(DivisionByZeroHandling::ThrowError);
        Engine::builder()
            .with_config(config)
            .with_constant_folding(false)
            .add_operator(STEP, Step)
            .build()
    });
    &ENGINE
}

/// The names of all operators, in order.
pub(super) fn operators() -> &'static [&'static str] {
    static OPERATORS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let mut names: Vec<&'static str> = engine().builtin_operator_names().collect();
        names.sort_unstable();
        names
    });
    &OPERATORS
}

/// What is left for the evaluation that runs on this thread.
///
/// Per thread, because operators get nothing from the caller; an evaluation never leaves its thread.
#[derive(Clone, Copy)]
struct Budget {
    steps: u32,
    memory: usize,
    is_exhausted: bool,
}

thread_local! {
    static BUDGET: Cell<Budget> =
        const { Cell::new(Budget { steps: 0, memory: 0, is_exhausted: false }) };
}

/// Gives the evaluation that follows a full budget, beyond what `arena` holds already.
pub(super) fn fill_budget(arena: &Bump) {
    let memory = arena.allocated_bytes().saturating_add(MEMORY);
    BUDGET.set(Budget { steps: FUEL, memory, is_exhausted: false });
}

/// Whether the last evaluation of this thread used up its budget; a `try` in a rule cannot hide it.
pub(super) fn is_exhausted() -> bool {
    BUDGET.get().is_exhausted
}

struct Step;

impl CustomOperator for Step {
    fn evaluate<'a>(
        &self,
        args: &[&'a DataValue<'a>],
        _context: &mut EvalContext<'_, 'a>,
        arena: &'a Bump,
    ) -> datalogic_rs::Result<&'a DataValue<'a>> {
        let mut budget = BUDGET.get();
        match budget.steps.checked_sub(1) {
            Some(steps) if arena.allocated_bytes() <= budget.memory => budget.steps = steps,
            _ => budget.is_exhausted = true,
        }
        BUDGET.set(budget);
        match args {
            [body] if !budget.is_exhausted => Ok(body),
            _ => Err(Error::custom_message("the budget of the evaluation is used up")),
        }
    }
}
