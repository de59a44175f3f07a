//! Actions that wait until what led to them is safe.

use std::collections::VecDeque;

use flowcore::machine::{Action, Wish};
use flowcore::{Instance, NodeContext};
use tokio::sync::OwnedSemaphorePermit;

use super::{DriveError, Driver};

/// What waits, in order.
pub(super) type Gate = VecDeque<Gated>;

/// An action that waits.
pub(super) struct Gated {
    after: u64,
    what: What,
}

enum What {
    /// An attempt that the driver does not make itself.
    Attempt(Box<Attempt>),
    /// An inline node, which begins only when it is called; or the end.
    Wish(Wish),
}

/// It sees what was there when it was wished for, however long it waits.
struct Attempt {
    instance: Instance,
    attempt: u32,
    context: NodeContext,
    permit: Option<OwnedSemaphorePermit>,
}

impl Driver {
    /// Whether an action may not be done yet. Only what others would see waits: the start of an
    /// attempt that changes something, and the end.
    #[inline]
    pub(super) fn must_be_safe(&self, wish: Wish) -> bool {
        wish.after > self.ledger.safe_seq()
            && matches!(wish.action, Action::Start { .. } | Action::Finish)
    }

    /// Keeps an action for when what led to it is safe. An attempt that cannot even be prepared changes
    /// nothing, and has failed at once.
    pub(super) fn put_off(&mut self, wish: Wish) -> Result<(), DriveError> {
        let what = match wish.action {
            Action::Start { instance, attempt } if !self.is_inline(instance) => {
                match self.prepare(instance) {
                    Ok(context) => {
                        let permit = self.permit.take();
                        What::Attempt(Box::new(Attempt { instance, attempt, context, permit }))
                    }
                    error => return self.launch(instance, attempt, error),
                }
            }
            _ => What::Wish(wish),
        };
        self.gate.push_back(Gated { after: wish.after, what });
        Ok(())
    }

    /// Does the next action that may be done now, or puts it among the wishes; gives whether there was
    /// one.
    pub(super) fn pass_gate(&mut self) -> Result<bool, DriveError> {
        let safe_seq = self.ledger.safe_seq();
        let Some(gated) = self.gate.pop_front_if(|gated| gated.after <= safe_seq) else {
            return Ok(false);
        };
        self.told_at = self.now();
        match gated.what {
            What::Wish(wish) => self.turn.wishes.push(wish),
            What::Attempt(gated) => {
                let Attempt { instance, attempt, context, permit } = *gated;
                self.permit = permit;
                if self.machine.is_due(instance, attempt) {
                    self.launch(instance, attempt, Ok(context))?;
                } else {
                    self.leave_out(instance, attempt)?;
                }
            }
        }
        Ok(true)
    }
}
