//! How many executions of a project may wait for their turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowcore::ProjectId;
use flowruntime::store::{Store, StoreError};
use flowruntime::{Place, StartError};
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
    /// Held while they are counted.
    counting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    counted: Option<Counted>,
    /// Let in since the count began, or on their way when it did.
    since: usize,
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

impl Line {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.known().on_their_way -= 1;
    }
}

/// What is known without counting.
enum Answer {
    In(OnItsWay),
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
        if let Some(answer) = decided(ask(&line, most, false), most) {
            return answer;
        }
        let _alone = line.counting.lock().await;
        // Perhaps others have counted meanwhile.
        if let Some(answer) = decided(ask(&line, most, false), most) {
            return answer;
        }
        self.count(project, &line, most).await?;
        decided(ask(&line, most, true), most).unwrap_or_else(|| Err(full(most)))
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
        let before = {
            let mut known = line.known();
            let on_their_way = known.on_their_way;
            std::mem::replace(&mut known.since, on_their_way)
        };
        let count = self.store.queued(project, most).await;
        let mut known = line.known();
        match count {
            Ok(count) => known.counted = Some(Counted { count, at }),
            // What was known before still holds.
            Err(_) => known.since += before,
        }
        count.map(drop)
    }
}

/// What is known of a line; right after a count, whatever that said.
fn ask(line: &Arc<Line>, most: usize, is_counted: bool) -> Answer {
    let mut known = line.known();
    let Some(counted) = known.counted else { return Answer::Unknown };
    let is_full = counted.count + known.since >= most;
    let holds = if counted.count >= most {
        counted.at.elapsed() < FULL_LIFE
    } else {
        // Of those that were let in since, some may have begun: nobody is refused because of them.
        !is_full && counted.at.elapsed() < COUNT_LIFE
    };
    if !holds && !is_counted {
        return Answer::Unknown;
    }
    if is_full {
        return Answer::Full;
    }
    known.since += 1;
    known.on_their_way += 1;
    Answer::In(OnItsWay(line.clone()))
}

fn decided(answer: Answer, most: usize) -> Option<Result<Place, StartError>> {
    match answer {
        Answer::In(place) => Some(Ok(Box::new(place))),
        Answer::Full => Some(Err(full(most))),
        Answer::Unknown => None,
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
}
