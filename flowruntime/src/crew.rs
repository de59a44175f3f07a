//! The tasks that run the attempts of one execution.
//!
//! A task for each attempt costs more than most attempts do. So an execution has as many tasks as
//! the tokio runtime has workers, and these, its crew, take attempts from a queue: each poll of an
//! attempt can have a worker of its own, as if each had its own task. An attempt that is pending
//! keeps the member of the crew that has begun it, and another takes that member's place.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use flowcore::machine::Outcome;
use flowcore::{AttemptSignals, NodeContext, NodeIndex, SharedPlan};
use tokio::sync::OwnedSemaphorePermit;

use crate::executor::{AttemptResult, InstanceSlot, run_node, until_abandoned};

/// The crew of one execution, and where attempts report that run elsewhere than on the driver.
/// Clones are the same crew.
#[derive(Clone)]
pub(crate) struct Crew(Arc<Inner>);

struct Inner {
    plan: SharedPlan,
    work: Mutex<Work>,
    reports: Mutex<Reports>,
}

/// What is to be done, and by whom.
#[derive(Default)]
struct Work {
    jobs: VecDeque<Job>,
    /// The members that wait to be called.
    idle: Vec<(MemberId, Waker)>,
    /// How many were called and have not looked yet.
    called: usize,
    /// How many have a job, without those that an attempt keeps.
    working: usize,
    last_member: MemberId,
    /// How many may work at the same time.
    limit: usize,
    is_closed: bool,
}

type MemberId = u64;

/// What has ended since the driver looked.
#[derive(Default)]
struct Reports {
    ended: VecDeque<Ended>,
    driver: Option<Waker>,
}

/// An attempt that a member of the crew is to run.
pub(crate) struct Job {
    pub(crate) reporter: Reporter,
    pub(crate) node: NodeIndex,
    pub(crate) context: NodeContext,
    pub(crate) is_tainted: bool,
    pub(crate) slot: Option<InstanceSlot>,
    pub(crate) signals: Arc<AttemptSignals>,
}

/// Which attempt it is, for the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttemptKey {
    pub(crate) slot: usize,
    /// Slots are used again; a number is not.
    pub(crate) number: u64,
}

/// The end of an attempt; without a result it was given up.
pub(crate) struct Ended {
    pub(crate) key: AttemptKey,
    pub(crate) result: Option<AttemptResult>,
    /// Comes back to the driver with the end of the attempt, which may start the next with it.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// Tells the driver how an attempt ended, also when whoever runs it fails to.
pub(crate) struct Reporter {
    crew: Crew,
    key: AttemptKey,
    /// Given back when the attempt has really ended, even if the driver has given it up.
    permit: Option<OwnedSemaphorePermit>,
    is_done: bool,
}

/// How long a member polls one attempt after the other before others get their turn.
///
/// Tokio counts polls, and one poll of a member is the work of many.
const TURN: Duration = Duration::from_micros(100);

impl Crew {
    pub(crate) fn new(plan: SharedPlan) -> Self {
        let limit = tokio::runtime::Handle::current().metrics().num_workers();
        let work = Work { limit, ..Work::default() };
        Self(Arc::new(Inner { plan, work: Mutex::new(work), reports: Mutex::default() }))
    }

    /// Puts an attempt into the queue. A member that is at work may take it at once; the others are
    /// called by [`Crew::call`].
    pub(crate) fn assign(&self, job: Job) {
        self.work().jobs.push_back(job);
    }

    /// Calls as many members as there is work for.
    pub(crate) fn call(&self) {
        let mut work = self.work();
        while work.called < work.jobs.len().min(work.limit.saturating_sub(work.working)) {
            work.called += 1;
            if let Some((_, waker)) = work.idle.pop() {
                drop(work);
                waker.wake();
            } else {
                work.last_member += 1;
                let id = work.last_member;
                drop(work);
                tokio::spawn(Member { crew: self.clone(), id, state: State::Called }.run());
            }
            work = self.work();
        }
    }

    /// Nothing is taken from the queue any more; what was not begun is let go.
    pub(crate) fn close(&self) {
        let mut work = self.work();
        work.is_closed = true;
        let jobs = std::mem::take(&mut work.jobs);
        let idle = std::mem::take(&mut work.idle);
        // They are called, and say so when they come: that there is nothing more.
        work.called += idle.len();
        drop(work);
        drop(jobs);
        idle.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Takes what has ended, in its order.
    ///
    /// `ended` must be empty: its memory is used again.
    pub(crate) fn take_ended(&self, ended: &mut VecDeque<Ended>) {
        std::mem::swap(&mut self.reports().ended, ended);
    }

    /// As [`Crew::take_ended`]. Ready when something has ended; until then the driver waits. Cancel
    /// safe.
    pub(crate) fn poll_ended(&self, cx: &Context<'_>, ended: &mut VecDeque<Ended>) -> Poll<()> {
        let mut reports = self.reports();
        std::mem::swap(&mut reports.ended, ended);
        if !ended.is_empty() {
            return Poll::Ready(());
        }
        match &mut reports.driver {
            Some(waker) => waker.clone_from(cx.waker()),
            None => reports.driver = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn report(&self, ended: Ended) {
        let mut reports = self.reports();
        let is_first = reports.ended.is_empty();
        reports.ended.push_back(ended);
        let driver = if is_first { reports.driver.take() } else { None };
        drop(reports);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.0.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reports(&self) -> MutexGuard<'_, Reports> {
        self.0.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter {
    pub(crate) fn new(crew: Crew, key: AttemptKey, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { crew, key, permit, is_done: false }
    }

    /// The attempt has ended; without a result it was given up.
    pub(crate) fn report(mut self, result: Option<AttemptResult>) {
        self.send(result);
    }

    /// The attempt does not begin, and the driver knows.
    pub(crate) fn withdraw(mut self) {
        self.is_done = true;
    }

    fn send(&mut self, result: Option<AttemptResult>) {
        self.is_done = true;
        self.crew.report(Ended { key: self.key, result, permit: self.permit.take() });
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if !self.is_done {
            let message = || "the task that ran the attempt panicked".to_owned();
            let outcome =
                std::thread::panicking().then(|| Outcome::Panicked { message: message() });
            self.send(outcome.map(|outcome| AttemptResult { outcome }));
        }
    }
}

/// A task that runs one attempt after the other.
struct Member {
    crew: Crew,
    id: MemberId,
    state: State,
}

/// What a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It waits to be called, and may have been.
    Idle,
    /// It was called.
    Called,
    Working,
    /// An attempt that was pending keeps it: it is not counted any more.
    Kept,
}

impl Member {
    async fn run(mut self) {
        let mut turn = Instant::now();
        while let Some(job) = poll_fn(|cx| self.poll_next(cx)).await {
            self.perform(job).await;
            if self.state == State::Kept {
                return;
            }
            if turn.elapsed() >= TURN {
                tokio::task::yield_now().await;
                turn = Instant::now();
            }
        }
    }

    async fn perform(&mut self, job: Job) {
        let Job { reporter, node, context, is_tainted, slot, signals } = job;
        let Self { crew, state, .. } = self;
        let run = run_node(&crew.0.plan, node, context, is_tainted, slot);
        let result = until_abandoned(&signals, run, || {
            if std::mem::replace(state, State::Kept) == State::Working {
                crew.work().working -= 1;
                crew.call();
            }
        });
        reporter.report(result.await);
    }

    /// The next job; `None` when there will be none.
    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<Job>> {
        let mut work = self.crew.work();
        let place = work.idle.iter().position(|(id, _)| *id == self.id);
        match self.state {
            State::Working => work.working -= 1,
            // Polled without having been called.
            State::Idle if place.is_some() => {}
            State::Idle | State::Called => work.called -= 1,
            State::Kept => return Poll::Ready(None),
        }
        if let Some(job) = work.jobs.pop_front() {
            if let Some(place) = place {
                work.idle.swap_remove(place);
            }
            work.working += 1;
            self.state = State::Working;
            return Poll::Ready(Some(job));
        }
        if work.is_closed {
            self.state = State::Kept;
            return Poll::Ready(None);
        }
        self.state = State::Idle;
        match place {
            Some(place) => work.idle[place].1.clone_from(cx.waker()),
            None => work.idle.push((self.id, cx.waker().clone())),
        }
        Poll::Pending
    }
}

/// One that panics leaves its place to another.
impl Drop for Member {
    fn drop(&mut self) {
        if self.state == State::Working {
            self.crew.work().working -= 1;
            self.crew.call();
        }
    }
}
