//! Attempts that wait for their turn under a rate limit.

use std::collections::BTreeMap;

use flowcore::machine::{Fact, Timer};
use flowcore::{Instance, Timestamp};

use super::{DriveError, Driver};
use crate::rates::{Answer, Ticket};

/// The places of the nodes that wait for their turn.
pub(super) type Tickets = BTreeMap<Instance, Ticket>;

impl Driver {
    /// Asks whether an attempt of a node may start now, and if not tells the machine. Gives whether
    /// it has to wait. Called at the last moment, so that what counts is when attempts start.
    #[inline]
    pub(super) fn must_wait(
        &mut self,
        instance: Instance,
        now: Timestamp,
    ) -> Result<bool, DriveError> {
        if !self.machine.plan().has_rate_limits() {
            return Ok(false);
        }
        self.ask_for_turn(instance, now)
    }

    fn ask_for_turn(&mut self, instance: Instance, now: Timestamp) -> Result<bool, DriveError> {
        let plan = self.machine.plan().clone();
        let limits = plan.graph().node(instance.node).rate_limits();
        if limits.is_empty() {
            return Ok(false);
        }
        let mut ticket = self.tickets.remove(&instance);
        let answer = self.shared.rates.ask(limits, now, &mut ticket);
        if let Some(ticket) = ticket {
            self.tickets.insert(instance, ticket);
        }
        let Answer::At(until, limit) = answer else { return Ok(false) };
        let name = limit.name.as_str().clone();
        self.handle_at(now, Fact::RateLimited { instance, until, name })?;
        Ok(true)
    }

    /// A node that was cancelled while it waited gives its place up.
    pub(super) fn give_up_turn(&mut self, timer: Timer) {
        if let Timer::Retry { instance, .. } = timer {
            self.tickets.remove(&instance);
        }
    }
}
