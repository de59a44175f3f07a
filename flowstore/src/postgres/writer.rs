//! The one task that writes what owners and starts write: all that waits goes into one transaction.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use flowcore::{Digest, ExecutionId, ProjectId};
use flowruntime::store::{Append, Appended, AuditEntry, Created, NewExecution, StoreError};
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_postgres::{Client, Error, Statement};

use super::append::{self, append, has_blobs};
use super::connector::Connector;
use super::create::{self, create};
use super::failure::{self, unanswered, unavailable};
use super::pipeline::in_order;
use super::records::{WRITE_DOWN, write_down};
use crate::chain::Chain;

/// How many requests may wait. Starts wait for room outside of the queue; appends are refused, since
/// they have an order that waiting outside would lose.
const MAX_WAITING: usize = 16_384;

/// How many requests go into one transaction: more would make the first wait long for its answer.
const MAX_ITEMS: usize = 1024;

/// How many bytes go into one transaction, but for the last request, which may be larger.
const MAX_BYTES: usize = 8 << 20;

/// How long a transaction may take. It may wait for one of another process.
const COMMIT_LIMIT: Duration = Duration::from_secs(30);

/// How often a transaction that another one was in the way of is done again.
const TRIES: usize = 10;

/// What the planner is told in the session of the writer: there every table is looked into by its
/// keys, and a plan that was made while a table was small is good when it is large.
const PREAMBLE: &str = "SET plan_cache_mode TO force_generic_plan; SET enable_seqscan TO off; \
    SET enable_hashjoin TO off; SET enable_mergejoin TO off";

/// Held by all that use blobs and definitions, shared, and by whoever deletes some, alone: none goes
/// while somebody finds it there.
pub(super) const USE_LOCK: &str =
    "SELECT pg_advisory_xact_lock_shared(hashtextextended('flow.prune.' || current_schema(), 0))";

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

enum Request {
    Append(Box<Append>, Answer<Appended>),
    Create(Box<NewExecution>, Answer<Created>),
}

/// Where requests wait for the writer.
#[derive(Clone)]
pub(super) struct Queue {
    requests: mpsc::UnboundedSender<Request>,
    counts: Arc<Counts>,
}

/// How busy the writer is.
pub(super) struct Counts {
    pub(super) waiting: AtomicUsize,
    pub(super) commits: AtomicU64,
    pub(super) appends: AtomicU64,
    room: Semaphore,
}

impl Queue {
    pub(super) fn append(&self, append: Append) -> oneshot::Receiver<Result<Appended, StoreError>> {
        let (answer, answered) = oneshot::channel();
        let waiting = self.counts.waiting.load(Ordering::Relaxed);
        if waiting >= MAX_WAITING {
            let _ = answer.send(Err(StoreError::Saturated { waiting }));
        } else {
            self.push(Request::Append(Box::new(append), answer));
        }
        answered
    }

    pub(super) async fn create(&self, new: NewExecution) -> Result<Created, StoreError> {
        let _room = self.counts.room.acquire().await.map_err(|_| StoreError::Closed)?;
        let (answer, answered) = oneshot::channel();
        self.push(Request::Create(Box::new(new), answer));
        answered.await.unwrap_or_else(|_| Err(unanswered()))
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    fn push(&self, request: Request) {
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        // When the writer is gone, so is the answer: its receiver says so.
        let _ = self.requests.send(request);
    }
}

/// The queue, and the task that empties it, which ends when all queues are dropped.
pub(super) fn writer(connector: Connector) -> (Queue, impl Future<Output = ()> + Send) {
    let (requests, received) = mpsc::unbounded_channel();
    let counts = Arc::new(Counts {
        waiting: AtomicUsize::new(0),
        commits: AtomicU64::new(0),
        appends: AtomicU64::new(0),
        room: Semaphore::new(MAX_WAITING / 2),
    });
    let writer = Writer { connector, session: None, counts: counts.clone() };
    (Queue { requests, counts }, writer.run(received))
}

struct Writer {
    connector: Connector,
    session: Option<Session>,
    counts: Arc<Counts>,
}

struct Session {
    client: Client,
    appends: append::Statements,
    creates: create::Statements,
    lock: Statement,
    write_down: Statement,
    /// The audit log of this session; nobody knows what became of the last links of the one before.
    chain: Chain,
}

/// What is to be written, and what became of it.
#[derive(Default)]
struct Batch {
    appends: Vec<(Box<Append>, Answer<Appended>)>,
    creates: Vec<(Box<NewExecution>, Answer<Created>)>,
}

/// Why nothing of a batch was written, or it is not known whether it was.
enum Failure {
    /// Because of one of the values.
    Values(StoreError),
    Other(StoreError),
}

impl Writer {
    async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) {
        while let Some(first) = requests.recv().await {
            let mut batch = Batch::default();
            let mut bytes = batch.push(first);
            let mut items = 1;
            while items < MAX_ITEMS && bytes < MAX_BYTES {
                let Ok(next) = requests.try_recv() else { break };
                bytes += batch.push(next);
                items += 1;
            }
            self.counts.waiting.fetch_sub(items, Ordering::Relaxed);
            self.write(batch).await;
        }
    }

    /// Writes all of it and answers; each by itself when the values of one are refused.
    async fn write(&mut self, batch: Batch) {
        let Some((batch, error)) = self.try_write(batch).await else { return };
        match error {
            Failure::Values(_) if batch.len() > 1 => {
                tracing::warn!("PostgreSQL refuses one of many values: each is written by itself");
                for one in batch.split() {
                    if let Some((one, Failure::Values(error) | Failure::Other(error))) =
                        self.try_write(one).await
                    {
                        one.fail(&error);
                    }
                }
            }
            Failure::Values(error) | Failure::Other(error) => batch.fail(&error),
        }
    }

    /// Writes and answers; gives back what failed.
    async fn try_write(&mut self, mut batch: Batch) -> Option<(Batch, Failure)> {
        for _ in 0..TRIES {
            match tokio::time::timeout(COMMIT_LIMIT, self.commit(&mut batch)).await {
                Ok(Ok(())) if batch.len() == 0 => return None,
                // What changed nothing would change something now: others were faster, twice.
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    if let Some(failure) = self.failed(&error) {
                        return Some((batch, failure));
                    }
                }
                Err(_) => {
                    self.session = None;
                    let message = format!("no commit within {COMMIT_LIMIT:?}");
                    return Some((batch, Failure::Other(unavailable(message))));
                }
            }
        }
        let message = "other transactions are in the way".to_owned();
        Some((batch, Failure::Other(unavailable(message))))
    }

    /// What an error means; `None` when the transaction is to be done again.
    fn failed(&mut self, error: &Error) -> Option<Failure> {
        if failure::is_conflict(error) {
            return None;
        }
        tracing::warn!(%error, "PostgreSQL did not commit");
        if failure::is_of_values(error) {
            return Some(Failure::Values(failure::of(error)));
        }
        // A session that failed may have lost more than this.
        self.session = None;
        Some(Failure::Other(failure::of(error)))
    }

    /// One transaction; answers all that is decided then, and leaves in the batch what is not.
    async fn commit(&mut self, batch: &mut Batch) -> Result<(), Error> {
        let session = match self.session.take().filter(|session| !session.client.is_closed()) {
            Some(session) => session,
            None => Session::open(&self.connector).await?,
        };
        let session = self.session.insert(session);
        let outcome = session.transaction(batch).await?;
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
        let appended = batch.appends.len() - outcome.refused.len();
        self.counts
            .appends
            .fetch_add(u64::try_from(appended).unwrap_or(u64::MAX), Ordering::Relaxed);
        let mut left = Batch::default();
        for (index, (append, answer)) in std::mem::take(&mut batch.appends).into_iter().enumerate()
        {
            match outcome.refused.get(&index).copied().unwrap_or(Some(Appended::Committed)) {
                Some(appended) => drop(answer.send(Ok(appended))),
                None => left.appends.push((append, answer)),
            }
        }
        let mut unmade = Vec::new();
        for (index, (new, answer)) in std::mem::take(&mut batch.creates).into_iter().enumerate() {
            if outcome.created.contains(&index) {
                drop(answer.send(Ok(Created::New)));
            } else {
                unmade.push((new, answer));
            }
        }
        for (new, answer) in unmade {
            match create::find(&session.client, &session.creates, &new).await {
                Ok(Some(found)) => drop(answer.send(found)),
                Ok(None) => left.creates.push((new, answer)),
                Err(error) => drop(answer.send(Err(failure::of(&error)))),
            }
        }
        *batch = left;
        Ok(())
    }
}

/// What became of the items of a batch, by their place.
#[derive(Default)]
struct Outcome {
    /// The appends that changed nothing, and why, if it is for good.
    refused: HashMap<usize, Option<Appended>>,
    /// The executions that were made.
    created: HashSet<usize>,
}

impl Session {
    async fn open(connector: &Connector) -> Result<Self, Error> {
        let (client, _) = connector.connect(None).await?;
        client.batch_execute(PREAMBLE).await?;
        Ok(Self {
            appends: append::Statements::prepare(&client).await?,
            creates: create::Statements::prepare(&client).await?,
            lock: client.prepare(USE_LOCK).await?,
            write_down: client.prepare(WRITE_DOWN).await?,
            chain: Chain::new(),
            client,
        })
    }

    /// Sends everything at once, and waits for the commit; what is said of starts follows once it is
    /// known which were made.
    async fn transaction(&mut self, batch: &Batch) -> Result<Outcome, Error> {
        let has_audit = batch.creates.iter().any(|(new, _)| new.audit.is_some());
        let create_rounds = rounds(&batch.creates, |(new, _)| {
            let key = create::key_digest(new).map(|key| Thing::Key(new.project.clone(), key));
            [Some(Thing::Execution(new.id)), key]
        });
        let append_rounds =
            rounds(&batch.appends, |(append, _)| [Some(Thing::Execution(append.execution)), None]);
        let uses_blobs =
            !create_rounds.is_empty() || batch.appends.iter().any(|(append, _)| has_blobs(append));
        // A single statement is a transaction of its own.
        let is_whole = uses_blobs || append_rounds.len() > 1;
        let mut steps: Vec<BoxFuture<'_, Result<Step, Error>>> = Vec::new();
        if is_whole {
            steps.push(Box::pin(async {
                self.client.batch_execute("BEGIN").await.map(|()| Step::Other)
            }));
        }
        if uses_blobs {
            steps.push(Box::pin(async {
                self.client.execute(&self.lock, &[]).await.map(|_| Step::Other)
            }));
        }
        for round in &create_rounds {
            steps.push(Box::pin(async {
                let items: Vec<&NewExecution> =
                    round.iter().map(|index| &*batch.creates[*index].0).collect();
                let made = create(&self.client, &self.creates, &items).await?;
                let made = round.iter().filter(|index| made.contains(&batch.creates[**index].0.id));
                Ok(Step::Created(made.copied().collect()))
            }));
        }
        for round in &append_rounds {
            steps.push(Box::pin(async {
                let items: Vec<&Append> =
                    round.iter().map(|index| &*batch.appends[*index].0).collect();
                let refused = append(&self.client, &self.appends, &items).await?;
                let refused = round.iter().filter_map(|index| {
                    let verdict = refused.get(&batch.appends[*index].0.execution)?;
                    Some((*index, *verdict))
                });
                Ok(Step::Appended(refused.collect()))
            }));
        }
        if is_whole && !has_audit {
            // After an error, this undoes everything.
            steps.push(Box::pin(async {
                self.client.batch_execute("COMMIT").await.map(|()| Step::Other)
            }));
        }
        let outcome = Outcome::of(in_order(steps).await);
        if has_audit { self.commit_with_audit(batch, outcome).await } else { outcome }
    }

    /// Writes down which of the executions were made, and commits.
    async fn commit_with_audit(
        &mut self,
        batch: &Batch,
        outcome: Result<Outcome, Error>,
    ) -> Result<Outcome, Error> {
        let mut chain = self.chain.clone();
        let write = async {
            let outcome = outcome?;
            let made = batch.creates.iter().enumerate();
            let made = made.filter(|(index, _)| outcome.created.contains(index));
            let entries: Vec<&AuditEntry> =
                made.filter_map(|(_, (new, _))| new.audit.as_ref()).collect();
            write_down(&self.client, &self.write_down, &mut chain, &entries).await?;
            Ok(outcome)
        };
        let written = write.await;
        let end = if written.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = self.client.batch_execute(end).await;
        let outcome = written?;
        ended?;
        self.chain = chain;
        Ok(outcome)
    }
}

impl Outcome {
    fn of(steps: Vec<Result<Step, Error>>) -> Result<Self, Error> {
        let mut outcome = Self::default();
        for step in steps {
            match step? {
                Step::Created(made) => outcome.created.extend(made),
                Step::Appended(refused) => outcome.refused.extend(refused),
                Step::Other => {}
            }
        }
        Ok(outcome)
    }
}

enum Step {
    Created(Vec<usize>),
    Appended(Vec<(usize, Option<Appended>)>),
    Other,
}

/// What one statement may change only once.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Execution(ExecutionId),
    Key(ProjectId, Digest),
}

/// Divides items, given by their places, into rounds: in none is a thing twice, and what happens to
/// one thing keeps its order.
fn rounds<T>(items: &[T], things: impl Fn(&T) -> [Option<Thing>; 2]) -> Vec<Vec<usize>> {
    let mut rounds: Vec<(BTreeSet<Thing>, Vec<usize>)> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let things: Vec<Thing> = things(item).into_iter().flatten().collect();
        let last =
            rounds.iter().rposition(|(seen, _)| things.iter().any(|thing| seen.contains(thing)));
        let round = last.map_or(0, |last| last + 1);
        if round == rounds.len() {
            rounds.push(Default::default());
        }
        rounds[round].0.extend(things);
        rounds[round].1.push(index);
    }
    rounds.into_iter().map(|(_, round)| round).collect()
}

impl Batch {
    /// Adds a request; gives about how many bytes it has.
    fn push(&mut self, request: Request) -> usize {
        match request {
            Request::Append(append, answer) => {
                let blobs: usize = append.blobs.iter().map(|blob| blob.bytes.len()).sum();
                let logs: usize = append.logs.iter().map(|line| line.text.len()).sum();
                let bytes = append.segment.len() + blobs + logs;
                self.appends.push((append, answer));
                bytes
            }
            Request::Create(new, answer) => {
                let blobs: usize = new.blobs.iter().map(|blob| blob.bytes.len()).sum();
                let bytes = new.start.len() + new.definition.text.len() + blobs;
                self.creates.push((new, answer));
                bytes
            }
        }
    }

    fn len(&self) -> usize {
        self.appends.len() + self.creates.len()
    }

    /// Each item by itself, in their order.
    fn split(self) -> impl Iterator<Item = Self> {
        let creates = self.creates.into_iter();
        let creates = creates.map(|item| Self { creates: vec![item], appends: Vec::new() });
        let appends = self.appends.into_iter();
        creates.chain(appends.map(|item| Self { appends: vec![item], creates: Vec::new() }))
    }

    fn fail(self, error: &StoreError) {
        for (_, answer) in self.appends {
            let _ = answer.send(Err(error.clone()));
        }
        for (_, answer) in self.creates {
            let _ = answer.send(Err(error.clone()));
        }
    }
}
