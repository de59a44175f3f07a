//! How many executions of a project may wait for their turn.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowcore::ProjectId;
use flowruntime::store::{Store, StoreError};
use flowruntime::{Place, StartError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a count holds, with what this server has let in since. Other servers let in some meanwhile.
const COUNT_LIFE: Duration = Duration::from_secs(1);

/// How long it holds when the queue is full: whoever waits for its turn does not wait long to hear of
/// it, and a crowd in front of the door does not count all day.
const FULL_LIFE: Duration = Duration::from_millis(100);

/// Lets so many executions of each project wait.
///
/// On one server there are never more than that, and those that are about to be accepted while they are
/// counted may count twice for a moment. Several servers on one database know of each other's within a
/// second, and there may be more by what they accept in it.
pub(crate) struct Queue {
    store: Arc<dyn Store>,
    /// `None` is any number.
    most: Option<usize>,
    lines: Mutex<HashMap<ProjectId, Arc<Line>>>,
}

/// Those of one project.
#[derive(Default)]
struct Line {
    known: Mutex<Known>,
    /// Whether somebody counts. Others that need the count wait for it, and go on all at once.
    is_counting: AtomicBool,
    counted: Notify,
}

#[derive(Default)]
struct Known {
    counted: Option<Counted>,
    /// Let in since that count began, or on their way when it did.
    since: usize,
    /// The same of the count that is being made.
    since_next: usize,
    /// Let in, and neither accepted yet nor refused.
    on_their_way: usize,
}

#[derive(Clone, Copy)]
struct Counted {
    count: usize,
    at: Instant,
}

/// An execution that was let in.
struct OnItsWay(Arc<Line>);

/// Whoever counts.
struct Counting<'a>(&'a Line);

impl Line {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the caller count; `None` when somebody does already.
    fn begin(&self) -> Option<Counting<'_>> {
        let begun = self.is_counting.compare_exchange(false, true, AcqRel, Acquire);
        begun.is_ok().then(|| Counting(self))
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.known().on_their_way -= 1;
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        // In this order: whoever finds somebody counting is woken.
        self.0.is_counting.store(false, Release);
        self.0.counted.notify_waiters();
    }
}

/// What is known without counting.
enum Answer {
    In(OnItsWay),
    /// The same, and it is time to count again.
    InOfLate(OnItsWay),
    Full,
    Unknown,
}

impl Queue {
    pub(crate) fn new(store: Arc<dyn Store>, most: Option<usize>) -> Self {
        Self { store, most, lines: Mutex::default() }
    }

    /// Lets one in, if there is room.
    pub(crate) async fn admit(&self, project: &ProjectId) -> Result<Place, StartError> {
        let Some(most) = self.most else { return Ok(Box::new(())) };
        let line = self.line(project);
        loop {
            let counted = line.counted.notified();
            tokio::pin!(counted);
            // Before anything is asked: a count that ends meanwhile is heard of.
            counted.as_mut().enable();
            let has_room = match ask(&line, most) {
                Answer::In(place) => return Ok(Box::new(place)),
                Answer::Full => return Err(full(most)),
                Answer::InOfLate(place) => Some(place),
                Answer::Unknown => None,
            };
            match (line.begin(), has_room) {
                (Some(_counting), None) => {
                    self.count(project, &line, most).await?;
                    return decide(&line, most);
                }
                (Some(_counting), Some(place)) => {
                    self.count(project, &line, most).await?;
                    return Ok(Box::new(place));
                }
                // What is known leaves room, however old it is: nobody waits for the count.
                (None, Some(place)) => return Ok(Box::new(place)),
                (None, None) => counted.await,
            }
        }
    }

    fn line(&self, project: &ProjectId) -> Arc<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.get(project) {
            Some(line) => line.clone(),
            None => lines.entry(project.clone()).or_default().clone(),
        }
    }

    async fn count(&self, project: &ProjectId, line: &Line, most: usize) -> Result<(), StoreError> {
        let at = Instant::now();
        {
            let mut known = line.known();
            known.since_next = known.on_their_way;
        }
        // Until it is known, and when it fails, what was known before holds.
        let count = self.store.queued(project, most).await?;
        let mut known = line.known();
        (known.counted, known.since) = (Some(Counted { count, at }), known.since_next);
        Ok(())
    }
}

impl Known {
    /// Whether there may be no room: of those that were let in since the count, some may have begun.
    fn is_full(&self, counted: Counted, most: usize) -> bool {
        counted.count + self.since >= most
    }

    fn let_in(&mut self, line: &Arc<Line>) -> OnItsWay {
        self.since += 1;
        self.since_next += 1;
        self.on_their_way += 1;
        OnItsWay(line.clone())
    }
}

/// What is known of a line.
fn ask(line: &Arc<Line>, most: usize) -> Answer {
    let mut known = line.known();
    let Some(counted) = known.counted else { return Answer::Unknown };
    let age = counted.at.elapsed();
    if counted.count >= most && age < FULL_LIFE {
        return Answer::Full;
    }
    // Nobody is refused because of those that may have begun.
    if known.is_full(counted, most) {
        return Answer::Unknown;
    }
    let place = known.let_in(line);
    if age < COUNT_LIFE { Answer::In(place) } else { Answer::InOfLate(place) }
}

/// What follows from a count that was just made, whatever it said.
fn decide(line: &Arc<Line>, most: usize) -> Result<Place, StartError> {
    let mut known = line.known();
    match known.counted {
        Some(counted) if !known.is_full(counted, most) => Ok(Box::new(known.let_in(line))),
        _ => Err(full(most)),
    }
}

fn full(most: usize) -> StartError {
    StartError::Refused {
        code: "execution.queue_full",
        reason: format!("{most} executions of the project wait for their turn already"),
        hint: "try again later; `--max-queued` says how many may wait",
    }
}

#[cfg(test)]
mod tests {
    use flowcore::EVENT_FORMAT;
    use flowcore::{Digest, ExecutionId, Timestamp, WorkflowId};
    use flowruntime::store::{Definition, MemoryStore, NewExecution};
    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;

    fn waits(store: &Arc<dyn Store>, number: u128) -> impl Future<Output = ()> + use<> {
        let store = store.clone();
        let digest = Digest::of_bytes("test", b"{}");
        let execution = NewExecution {
            id: ExecutionId::from_uuid(uuid::Uuid::from_u128(number)),
            project: ProjectId::default(),
            workflow_id: WorkflowId::new("w").unwrap(),
            version: None,
            definition: Arc::new(Definition { digest, text: "{}".to_owned() }),
            start: Vec::new(),
            blobs: Vec::new(),
            key: None,
            owner: None,
            rerun_of: None,
            created_at: Timestamp::from_millis(0),
            format: EVENT_FORMAT,
            audit: None,
        };
        async move {
            store.create(execution).await.unwrap();
        }
    }

    fn code(answer: Result<Place, StartError>) -> Result<Place, &'static str> {
        answer.map_err(|error| error.code())
    }

    #[tokio::test(start_paused = true)]
    async fn s28_so_many_wait_and_no_more() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let queue = Queue::new(store.clone(), Some(3));
        let project = ProjectId::default();
        // Those on their way count before they are there.
        let mut on_their_way = Vec::new();
        for _ in 0..3 {
            on_their_way.push(queue.admit(&project).await.unwrap());
        }
        assert_eq!(code(queue.admit(&project).await).err(), Some("execution.queue_full"));
        // None of them was accepted in the end.
        drop(on_their_way);
        tokio::time::advance(FULL_LIFE).await;
        for number in 1..=3 {
            let place = queue.admit(&project).await.unwrap();
            waits(&store, number).await;
            drop(place);
        }
        tokio::time::advance(COUNT_LIFE * 2).await;
        assert_eq!(code(queue.admit(&project).await).err(), Some("execution.queue_full"));
        let other = ProjectId::new("other").unwrap();
        assert!(queue.admit(&other).await.is_ok());
        assert!(Queue::new(store, None).admit(&project).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_room_does_not_wait_for_a_count() {
        let queue = Queue::new(Arc::new(MemoryStore::new()), Some(3));
        let project = ProjectId::default();
        let first = queue.admit(&project).await.unwrap();
        tokio::time::advance(COUNT_LIFE * 2).await;
        let line = queue.line(&project);
        let counting = line.begin().unwrap();
        let mut kept = vec![first];
        for _ in 0..2 {
            kept.push(queue.admit(&project).now_or_never().unwrap().unwrap());
        }
        // There may be no room for another one: that is to be counted first.
        let mut waits = std::pin::pin!(queue.admit(&project));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(counting);
        assert_eq!(code(waits.await).err(), Some("execution.queue_full"));
    }

    #[tokio::test(start_paused = true)]
    async fn s28_all_who_wait_for_a_count_go_on_at_once_and_no_more_than_may() {
        for (most, let_in) in [(1000, 100), (40, 40)] {
            let queue = Queue::new(Arc::new(MemoryStore::new()), Some(most));
            let project = ProjectId::default();
            let line = queue.line(&project);
            let counting = line.begin().unwrap();
            let mut all = std::pin::pin!(join_all((0..100).map(|_| queue.admit(&project))));
            assert!(all.as_mut().now_or_never().is_none());
            drop(counting);
            let (places, refused): (Vec<_>, Vec<_>) =
                all.await.into_iter().partition(Result::is_ok);
            assert_eq!((places.len(), refused.len()), (let_in, 100 - let_in));
        }
    }
}
