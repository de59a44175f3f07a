//! How often attempts start, over all executions of a runtime.
//!
//! Exact, and not a bucket that fills again: such a one lets `limit` start at once and as many again
//! while it fills, twice as many within the time as the limit says. So the moments of the last starts
//! are kept, and another one starts when the last but `limit` is longer ago than the time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowcore::{RateLimit, RateName, Timestamp};

/// The starts that count, and the attempts that wait for their turn.
#[derive(Clone, Default)]
pub(crate) struct Rates(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    named: HashMap<RateName, Count>,
    next_ticket: u64,
}

#[derive(Default)]
struct Count {
    /// The moments of the last starts, in order: as many as the highest limit of this name.
    starts: VecDeque<Timestamp>,
    most: usize,
    /// Those that wait, in the order in which they came.
    waiting: BTreeMap<u64, Waiting>,
}

/// An attempt that waits for its turn.
#[derive(Clone, Copy)]
struct Waiting {
    /// When its turn comes.
    until: Timestamp,
    /// Whether it waits because of this count, and not only of another one that limits it as well.
    is_here: bool,
}

/// The place of an attempt that waits for its turn; given up when this is dropped.
pub(crate) struct Ticket {
    number: u64,
    names: Vec<RateName>,
    rates: Rates,
}

/// What is said of an attempt that would start.
pub(crate) enum Answer {
    /// It starts, and is counted.
    Now,
    /// It waits. The limit is the one for which it waits longest.
    At(Timestamp, Arc<RateLimit>),
}

impl Rates {
    /// Whether an attempt under these limits may start at this moment: first come, first served. One
    /// that has to wait gets a ticket, with which it asks again when its turn comes; then the answer
    /// may be another wait, if it comes so late that others have taken its turn.
    pub(crate) fn ask(
        &self,
        limits: &[Arc<RateLimit>],
        now: Timestamp,
        ticket: &mut Option<Ticket>,
    ) -> Answer {
        let mut counts = self.counts();
        let number = ticket.as_ref().map_or(counts.next_ticket, |ticket| ticket.number);
        let turns = limits.iter().map(|limit| {
            let count = counts.named.entry(limit.name.clone()).or_default();
            (count.turn(limit, number, now), limit)
        });
        let turns: Vec<(Timestamp, &Arc<RateLimit>)> = turns.collect();
        let latest = turns.iter().copied().max_by_key(|(at, _)| *at);
        match latest {
            Some((at, limit)) if at > now => {
                for (turn, limit) in turns {
                    let count = counts.named.entry(limit.name.clone()).or_default();
                    count.wait(number, at, turn == at);
                }
                if ticket.is_none() {
                    counts.next_ticket += 1;
                    let names = limits.iter().map(|limit| limit.name.clone()).collect();
                    *ticket = Some(Ticket { number, names, rates: self.clone() });
                }
                Answer::At(at, limit.clone())
            }
            Some(_) | None => {
                for (index, limit) in limits.iter().enumerate() {
                    // Two limits of one name count the same start.
                    if limits[..index].iter().all(|other| other.name != limit.name) {
                        counts.named.entry(limit.name.clone()).or_default().started(now);
                    }
                }
                drop(counts);
                *ticket = None;
                Answer::Now
            }
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    /// When the attempt with this ticket may start, once those before it have.
    fn turn(&mut self, limit: &RateLimit, ticket: u64, now: Timestamp) -> Timestamp {
        self.most = self.most.max(limit.limit as usize);
        // One that does not take its turn, because its execution has no room for it, keeps the
        // others from theirs no longer than for the time of the limit.
        let earlier = self.waiting.range(..ticket).map(|(_, waiting)| *waiting);
        let earlier = earlier.filter(|waiting| waiting.until.after(limit.per) > now);
        let mut before = 0;
        let mut elsewhere = Vec::new();
        for Waiting { until, is_here } in earlier {
            if is_here { before += 1 } else { elsewhere.push(until) }
        }
        // Those that another limit holds back for longer take no turn from this one before that.
        elsewhere.sort_unstable();
        for until in elsewhere {
            if until > self.nth(limit, before, now) {
                break;
            }
            before += 1;
        }
        self.nth(limit, before, now)
    }

    /// When one may start before which so many others start.
    fn nth(&self, limit: &RateLimit, before: usize, now: Timestamp) -> Timestamp {
        let most = limit.limit as usize;
        let (rounds, rest) = (before / most, before % most);
        // The start that is `most` before this one, as far as it has been.
        let earlier = (self.starts.len() + rest).checked_sub(most).map(|at| self.starts[at]);
        let first = earlier.map_or(now, |start| start.after(limit.per).max(now));
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        first.after(limit.per.checked_mul(rounds).unwrap_or(Duration::MAX))
    }

    fn wait(&mut self, ticket: u64, until: Timestamp, is_here: bool) {
        let waiting = self.waiting.entry(ticket).or_insert(Waiting { until, is_here });
        // Of two limits of this name one may be what holds it back.
        let held_before = waiting.until == until && waiting.is_here;
        *waiting = Waiting { until, is_here: is_here || held_before };
    }

    fn started(&mut self, now: Timestamp) {
        // Drivers ask the clock before they ask here, so one may be a little behind another.
        let last = self.starts.back().copied().unwrap_or(now);
        self.starts.push_back(now.max(last));
        while self.starts.len() > self.most {
            self.starts.pop_front();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut counts = self.rates.counts();
        for name in &self.names {
            if let Some(count) = counts.named.get_mut(name) {
                count.waiting.remove(&self.number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn limit(name: &str, limit: u32, per_ms: u64) -> Arc<RateLimit> {
        let name = RateName::Resource(Arc::from(name));
        Arc::new(RateLimit::new(name, limit, Duration::from_millis(per_ms)))
    }

    /// When it may start, if not now.
    fn ask(
        rates: &Rates,
        limits: &[Arc<RateLimit>],
        now: i64,
        ticket: &mut Option<Ticket>,
    ) -> Option<i64> {
        match rates.ask(limits, at(now), ticket) {
            Answer::Now => None,
            Answer::At(until, _) => Some(until.as_millis()),
        }
    }

    #[test]
    fn turns_are_given_in_order_and_never_more_than_the_limit() {
        let (rates, limits) = (Rates::default(), [limit("crm", 2, 1_000)]);
        let mut tickets: Vec<Option<Ticket>> = (0..7).map(|_| None).collect();
        let turns: Vec<_> =
            tickets.iter_mut().map(|ticket| ask(&rates, &limits, 0, ticket)).collect();
        let expected =
            [None, None, Some(1_000), Some(1_000), Some(2_000), Some(2_000), Some(3_000)];
        assert_eq!(turns, expected);
        // The third comes late: those after it keep their order and their distance.
        assert_eq!(ask(&rates, &limits, 1_400, &mut tickets[2]), None);
        assert_eq!(ask(&rates, &limits, 1_400, &mut tickets[3]), None);
        assert_eq!(ask(&rates, &limits, 2_000, &mut tickets[4]), Some(2_400));
        assert_eq!(ask(&rates, &limits, 2_400, &mut tickets[4]), None);
        assert_eq!(ask(&rates, &limits, 2_400, &mut tickets[5]), None);
        assert_eq!(ask(&rates, &limits, 3_000, &mut tickets[6]), Some(3_400));
    }

    #[test]
    fn a_ticket_that_is_given_up_is_nobodys_turn() {
        let (rates, limits) = (Rates::default(), [limit("crm", 1, 1_000)]);
        let mut tickets: Vec<Option<Ticket>> = (0..3).map(|_| None).collect();
        let _: Vec<_> = tickets.iter_mut().map(|ticket| ask(&rates, &limits, 0, ticket)).collect();
        tickets[1] = None;
        assert_eq!(ask(&rates, &limits, 1_000, &mut tickets[2]), None);
        assert!(rates.counts().named.values().all(|count| count.waiting.is_empty()));
    }

    #[test]
    fn one_that_does_not_take_its_turn_is_passed_after_a_time() {
        let (rates, limits) = (Rates::default(), [limit("crm", 1, 1_000)]);
        let (mut none, mut stuck, mut next) = (None, None, None);
        assert_eq!(ask(&rates, &limits, 0, &mut none), None);
        assert_eq!(ask(&rates, &limits, 0, &mut stuck), Some(1_000));
        assert_eq!(ask(&rates, &limits, 0, &mut next), Some(2_000));
        assert_eq!(ask(&rates, &limits, 2_000, &mut next), None);
        assert_eq!(ask(&rates, &limits, 2_500, &mut stuck), Some(3_000));
    }

    #[test]
    fn every_limit_of_an_attempt_counts() {
        let rates = Rates::default();
        let both = [limit("crm", 3, 1_000), limit("crm", 4, 10_000), limit("mail", 1, 100)];
        let starts: Vec<i64> = (0..6)
            .map(|_| {
                let (mut ticket, mut now) = (None, 0);
                while let Some(later) = ask(&rates, &both, now, &mut ticket) {
                    now = later;
                }
                now
            })
            .collect();
        assert_eq!(starts, [0, 100, 200, 1_000, 10_000, 10_100]);
    }

    #[test]
    fn those_that_another_limit_holds_back_keep_nobody_waiting() {
        let rates = Rates::default();
        let (fast, slow) = (limit("fast", 2, 1_000), limit("slow", 1, 60_000));
        let both = [fast.clone(), slow];
        let mut tickets: Vec<Option<Ticket>> = (0..20).map(|_| None).collect();
        let turns = tickets.iter_mut().map(|ticket| ask(&rates, &both, 0, ticket));
        assert_eq!(turns.flatten().max(), Some(19 * 60_000));
        let starts: Vec<i64> = (0..5)
            .map(|_| {
                let (mut ticket, mut now) = (None, 0);
                while let Some(later) = ask(&rates, std::slice::from_ref(&fast), now, &mut ticket) {
                    now = later;
                }
                now
            })
            .collect();
        assert_eq!(starts, [0, 1_000, 1_000, 2_000, 2_000]);
    }

    proptest! {
        /// Attempts that come at any time and take their turns late: none starts before one that
        /// came earlier unless that was very late, and no window has too many starts.
        #[test]
        fn no_window_has_more_starts_than_the_limit(
            most in 1_u32..5,
            arrivals in proptest::collection::vec((0_i64..3_000, 0_i64..300), 1..40),
        ) {
            let (rates, limits) = (Rates::default(), [limit("crm", most, 1_000)]);
            let mut events: BTreeMap<(i64, usize), Option<Ticket>> = BTreeMap::new();
            for (index, (arrival, _)) in arrivals.iter().enumerate() {
                events.insert((*arrival, index), None);
            }
            let mut starts = Vec::new();
            let mut steps = 0;
            while let Some(((now, index), mut ticket)) = events.pop_first() {
                steps += 1;
                prop_assert!(steps < 10_000, "somebody waits for ever");
                match ask(&rates, &limits, now, &mut ticket) {
                    None => starts.push(now),
                    Some(until) => {
                        prop_assert!(until > now);
                        events.insert((until + arrivals[index].1, index), ticket);
                    }
                }
            }
            prop_assert_eq!(starts.len(), arrivals.len());
            for window in starts.windows(most as usize + 1) {
                prop_assert!(window[most as usize] - window[0] >= 1_000, "{:?}", starts);
            }
        }
    }
}
