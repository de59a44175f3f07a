//! A session of its own that shows that the process lives, hears what others say, and looks after
//! those who do not live any more.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use flowruntime::store::{Owner, OwnerId, StoreError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_postgres::{Client, Error};

use super::connector::{Connector, Listener};
use super::failure::{self, unanswered, unavailable};
use super::owners;
use super::settings::Settings;

/// How many commands may wait; whoever has more waits outside.
const MAX_WAITING: usize = 64;

/// How long a command may take: less than a third of a lease, so that it can be repeated.
const COMMAND_LIMIT: Duration = Duration::from_secs(4);

/// How long a broken session waits before it is made anew, at first and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How often dead owners are looked for.
const SWEEP: Duration = Duration::from_secs(1);

enum Next {
    Command(Command),
    Connect,
    Tell,
    Sweep,
    /// Nobody can ask for anything any more.
    End,
}

enum Command {
    Enter(oneshot::Sender<Result<Owner, StoreError>>),
    Renew(OwnerId, oneshot::Sender<Result<bool, StoreError>>),
    Leave(OwnerId, oneshot::Sender<Result<(), StoreError>>),
}

/// Rings, here and in all other processes.
#[derive(Clone)]
pub(super) struct Bell {
    here: watch::Sender<u64>,
    /// Many rings that come while one is told to others are told as one.
    elsewhere: Arc<Notify>,
}

impl Bell {
    pub(super) fn new() -> Self {
        Self { here: watch::Sender::new(0), elsewhere: Arc::default() }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.here.subscribe()
    }

    pub(super) fn ring(&self) {
        self.ring_here();
        self.elsewhere.notify_one();
    }

    fn ring_here(&self) {
        self.here.send_modify(|rung| *rung = rung.wrapping_add(1));
    }
}

/// Asks the guard. When all are dropped, its task ends, and the owners with it.
#[derive(Clone)]
pub(super) struct Guard {
    commands: mpsc::Sender<Command>,
}

impl Guard {
    pub(super) async fn enter(&self) -> Result<Owner, StoreError> {
        self.ask(Command::Enter).await
    }

    pub(super) async fn renew(&self, owner: OwnerId) -> Result<bool, StoreError> {
        self.ask(|answer| Command::Renew(owner, answer)).await
    }

    pub(super) async fn leave(&self, owner: OwnerId) -> Result<(), StoreError> {
        self.ask(|answer| Command::Leave(owner, answer)).await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Command,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| StoreError::Closed)?;
        answered.await.unwrap_or_else(|_| Err(unanswered()))
    }
}

/// The guard, and the task that does what it is asked.
pub(super) fn guard(
    connector: Connector,
    settings: &Settings,
    bell: Bell,
) -> (Guard, impl Future<Output = ()> + Send + use<>) {
    let (commands, received) = mpsc::channel(MAX_WAITING);
    let channel = format!("flow_{}", settings.schema);
    let watchman = Watchman {
        connector,
        lease: settings.lease,
        channel,
        bell,
        owners: BTreeSet::new(),
        session: None,
        back_off: BACK_OFF.0,
        next_try: Instant::now(),
    };
    (Guard { commands }, watchman.run(received))
}

struct Watchman {
    connector: Connector,
    lease: Duration,
    /// What is listened to.
    channel: String,
    bell: Bell,
    /// Those that entered here.
    owners: BTreeSet<OwnerId>,
    session: Option<Session>,
    back_off: Duration,
    next_try: Instant,
}

struct Session {
    client: Arc<Client>,
    /// Ends when the connection does.
    task: JoinHandle<()>,
}

impl Watchman {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut sweeps = interval(SWEEP.min(self.lease / 4).max(Duration::from_millis(10)));
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let elsewhere = self.bell.elsewhere.clone();
        loop {
            let next = tokio::select! {
                biased;
                command = commands.recv() => command.map_or(Next::End, Next::Command),
                () = self.lost() => Next::Connect,
                () = elsewhere.notified() => Next::Tell,
                _ = sweeps.tick() => Next::Sweep,
            };
            match next {
                Next::Command(command) => self.perform(command).await,
                Next::Connect => self.connect().await,
                Next::Tell => self.tell().await,
                Next::Sweep => self.sweep().await,
                Next::End => return,
            }
        }
    }

    /// Waits until the session is lost, or, without one, until it is time to try again.
    async fn lost(&mut self) {
        match &mut self.session {
            Some(session) => {
                let _ = (&mut session.task).await;
                self.end();
            }
            None => sleep_until(self.next_try).await,
        }
    }

    async fn perform(&mut self, command: Command) {
        match command {
            Command::Enter(answer) => drop(answer.send(self.enter().await)),
            Command::Renew(owner, answer) => drop(answer.send(self.renew(owner).await)),
            Command::Leave(owner, answer) => drop(answer.send(self.leave(owner).await)),
        }
    }

    async fn enter(&mut self) -> Result<Owner, StoreError> {
        let (id, lease) = (OwnerId::new(), self.lease);
        let client = self.client().await?;
        let entered = limited(owners::enter(&client, id, lease)).await;
        self.check(entered)?;
        self.owners.insert(id);
        Ok(Owner { id, lease: Some(lease) })
    }

    async fn renew(&mut self, owner: OwnerId) -> Result<bool, StoreError> {
        let client = self.client().await?;
        let lives = limited(owners::renew(&client, owner, self.lease)).await;
        let lives = self.check(lives)?;
        if !lives {
            self.let_go(owner).await;
        }
        Ok(lives)
    }

    async fn leave(&mut self, owner: OwnerId) -> Result<(), StoreError> {
        let client = self.client().await?;
        let left = limited(owners::leave(&client, owner)).await;
        self.check(left)?;
        self.let_go(owner).await;
        self.bell.ring();
        Ok(())
    }

    /// Holds the lock of an owner no longer.
    async fn let_go(&mut self, owner: OwnerId) {
        if self.owners.remove(&owner)
            && let Ok(client) = self.client().await
        {
            let released = limited(owners::release(&client, owner)).await;
            let _ = self.check(released);
        }
    }

    /// Tells all other processes that something happened. It may be lost: they also look by
    /// themselves.
    async fn tell(&mut self) {
        if let Ok(client) = self.client().await {
            let told = limited(client.batch_execute(&format!("NOTIFY {}", self.channel))).await;
            let _ = self.check(told);
        }
    }

    /// Looks for owners that are dead. That is the business of those who execute.
    async fn sweep(&mut self) {
        if self.owners.is_empty() {
            return;
        }
        let Ok(client) = self.client().await else { return };
        let held: Vec<_> = self.owners.iter().map(|owner| owner.0).collect();
        let swept = limited(owners::sweep(&client, &held, self.lease)).await;
        if self.check(swept) == Ok(true) {
            self.bell.ring();
        }
    }

    /// The session, which is made if there is none and it is time to try.
    async fn client(&mut self) -> Result<Arc<Client>, StoreError> {
        if self.session.is_none() && self.next_try <= Instant::now() {
            self.connect().await;
        }
        let session = self.session.as_ref().map(|session| session.client.clone());
        session.ok_or_else(|| unavailable("there is no connection to PostgreSQL".to_owned()))
    }

    /// What fails, or takes too long, ends the session.
    fn check<T>(&mut self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if done.is_err() {
            self.end();
        }
        done
    }

    /// Ends the session: what it has may be half a transaction. The next is made at once.
    fn end(&mut self) {
        self.session = None;
        self.next_try = Instant::now();
    }

    async fn connect(&mut self) {
        let opened = timeout(COMMAND_LIMIT, self.open()).await;
        match opened {
            Ok(Ok(session)) => {
                self.session = Some(session);
                self.back_off = BACK_OFF.0;
                // Much may have happened unheard.
                self.bell.ring_here();
            }
            Ok(Err(_)) | Err(_) => {
                self.next_try = Instant::now() + self.back_off;
                self.back_off = (2 * self.back_off).min(BACK_OFF.1);
            }
        }
    }

    async fn open(&self) -> Result<Session, Error> {
        let bell = self.bell.clone();
        let own = Arc::new(AtomicI32::new(0));
        let own_process = own.clone();
        let listener: Listener = Arc::new(move |notification| {
            // What was rung here was heard here.
            if notification.process_id() != own_process.load(Ordering::Relaxed) {
                bell.ring_here();
            }
        });
        let (client, task) = self.connector.connect(Some(listener)).await?;
        let row = client.query_one("SELECT pg_backend_pid()", &[]).await?;
        own.store(row.try_get(0)?, Ordering::Relaxed);
        for owner in &self.owners {
            owners::hold(&client, *owner).await?;
        }
        client.batch_execute(&format!("LISTEN {}", self.channel)).await?;
        Ok(Session { client: Arc::new(client), task })
    }
}

async fn limited<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
    match timeout(COMMAND_LIMIT, work).await {
        Ok(done) => done.map_err(|error| failure::of(&error)),
        Err(_) => Err(unavailable(format!("PostgreSQL did not answer within {COMMAND_LIMIT:?}"))),
    }
}
