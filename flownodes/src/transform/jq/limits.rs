//! What stops a filter that runs away.
//!
//! jaq has no limits of its own: a filter may recurse until the stack overflows, which aborts the
//! process, or run for ever. Filters are rewritten to pass their values through [`Run::check`].

use std::cell::Cell;

use flowcore::{Cancellation, NodeError};
use jaq_core::data::HasLut;
use jaq_core::{DataT, Exn, Lut};
use jaq_json::{Num, Val};

/// Stack for running a filter.
pub(super) const STACK: usize = 256 * 1024 * 1024;

/// How much of it a filter may use; what is left is for dropping what it made.
const USABLE_STACK: usize = STACK / 2;

/// How often a run may pass the guard: a few seconds of work.
pub(super) const MAX_STEPS: u64 = 20_000_000;

/// How often a run may call definitions of the filter that take filters. Such calls nest without
/// using the stack, but dropping what they bind takes some 100 bytes of it for each.
const MAX_CALLS: u64 = 500_000;

/// The longest text within a filter, in bytes: what the engine takes as an output.
pub(super) const MAX_TEXT: usize = 64 * 1024 * 1024;

/// The longest array within a filter.
const MAX_ITEMS: usize = 8 * 1024 * 1024;

/// The largest integer within a filter, in bits; beyond 64 it cannot come out.
const MAX_BITS: u64 = 1 << 16;

/// How deep a value may be nested within a filter; beyond 100 it cannot come out.
const MAX_NESTING: usize = 2_000;

/// Steps between two looks at the nesting of a value, and the most that one look may cost.
const NESTING_INTERVAL: u64 = 4_096;

/// Why a run is stopped. It leaves the filter as an exit code, which `try` does not catch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Cancelled = 1,
    OutOfFuel = 2,
    TooDeep = 3,
    TooLarge = 4,
}

impl Stop {
    /// The reason that an exit code stands for.
    pub(super) fn from_code(code: i32) -> Self {
        let all = [Self::Cancelled, Self::OutOfFuel, Self::TooDeep];
        all.into_iter().find(|stop| *stop as i32 == code).unwrap_or(Self::TooLarge)
    }

    /// The failure of the node.
    pub(super) fn error(self) -> NodeError {
        match self {
            Self::Cancelled => NodeError::new("jq.cancelled", "the filter was cancelled"),
            Self::OutOfFuel => NodeError::new("jq.out_of_fuel", "the filter takes too many steps")
                .with_hint(format!("it may take {MAX_STEPS}: check what ends its loops")),
            Self::TooDeep => {
                NodeError::new("jq.too_deep", "the filter recurses, or nests values, too deep")
                    .with_hint("check what ends the recursion")
            }
            Self::TooLarge => {
                NodeError::new("jq.too_large", "a value in the filter grows too large")
                    .with_hint(format!("texts may have {MAX_TEXT} bytes"))
            }
        }
    }
}

impl From<Stop> for Exn<'_, Val> {
    fn from(stop: Stop) -> Self {
        Exn::halt(stop as i32)
    }
}

/// Tells jaq that its filters work on [`Val`] and know their [`Run`].
pub(super) struct Limited;

impl DataT for Limited {
    type V<'a> = Val;
    type Data<'a> = &'a Run<'a>;
}

impl<'a> HasLut<'a, Limited> for &'a Run<'a> {
    fn lut(&self) -> &'a Lut<Limited> {
        self.lut
    }
}

/// One run of a filter, and what it may still use up.
pub(super) struct Run<'a> {
    lut: &'a Lut<Limited>,
    cancellation: &'a Cancellation,
    /// An address at the top of the stack.
    stack_top: usize,
    steps_left: Cell<u64>,
    calls_left: Cell<u64>,
    /// How many steps are left when the nesting of a value is looked at again.
    next_look: Cell<u64>,
}

impl<'a> Run<'a> {
    /// A run that begins here, on a stack of [`STACK`] bytes.
    pub(super) fn new(
        lut: &'a Lut<Limited>,
        cancellation: &'a Cancellation,
        max_steps: u64,
    ) -> Self {
        Self {
            lut,
            cancellation,
            stack_top: stack_address(),
            steps_left: Cell::new(max_steps),
            calls_left: Cell::new(MAX_CALLS),
            next_look: Cell::new(max_steps),
        }
    }

    /// Counts a step, and a call if it is one, and looks at the limits.
    ///
    /// # Errors
    /// The limit that is exceeded, or [`Stop::Cancelled`].
    pub(super) fn check(&self, value: &Val, is_call: bool) -> Result<(), Stop> {
        let steps = spend(&self.steps_left)?;
        if is_call {
            spend(&self.calls_left)?;
        }
        if self.cancellation.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        if self.stack_top.abs_diff(stack_address()) > USABLE_STACK {
            return Err(Stop::TooDeep);
        }
        if is_large(value) {
            return Err(Stop::TooLarge);
        }
        if steps < self.next_look.get() && is_container(value) {
            self.next_look.set(steps.saturating_sub(NESTING_INTERVAL));
            return if is_deep(value) { Err(Stop::TooDeep) } else { Ok(()) };
        }
        Ok(())
    }
}

/// Counts down; returns what is left.
fn spend(left: &Cell<u64>) -> Result<u64, Stop> {
    left.set(left.get().checked_sub(1).ok_or(Stop::OutOfFuel)?);
    Ok(left.get())
}

fn stack_address() -> usize {
    let here = 0_u8;
    std::hint::black_box(std::ptr::from_ref(&here)).addr()
}

fn is_large(value: &Val) -> bool {
    match value {
        Val::TStr(text) | Val::BStr(text) => text.len() > MAX_TEXT,
        Val::Arr(items) => items.len() > MAX_ITEMS,
        Val::Num(Num::BigInt(number)) => number.bits() > MAX_BITS,
        Val::Null | Val::Bool(_) | Val::Num(_) | Val::Obj(_) => false,
    }
}

/// Whether a walk of limited length finds the value nested too deep. Made to notice loops that wrap
/// a value again and again, not to be exact.
fn is_deep(value: &Val) -> bool {
    let mut open = vec![(value, 0)];
    for _ in 0..NESTING_INTERVAL {
        match open.pop() {
            None => return false,
            Some((_, depth)) if depth > MAX_NESTING => return true,
            Some((value, depth)) => {
                open.extend(containers(value).take(64).map(|inner| (inner, depth + 1)));
            }
        }
    }
    false
}

/// The arrays and objects right within a value.
fn containers(value: &Val) -> Box<dyn Iterator<Item = &Val> + '_> {
    match value {
        Val::Arr(items) => Box::new(items.iter().filter(|item| is_container(item))),
        Val::Obj(entries) => Box::new(entries.values().filter(|value| is_container(value))),
        Val::Null | Val::Bool(_) | Val::Num(_) | Val::BStr(_) | Val::TStr(_) => {
            Box::new(std::iter::empty())
        }
    }
}

fn is_container(value: &Val) -> bool {
    matches!(value, Val::Arr(_) | Val::Obj(_))
}
