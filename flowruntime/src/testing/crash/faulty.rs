//! A store that fails at one write.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::Twist;
use crate::store::{Append, Appended, Created, NewExecution, Store, StoreError};

/// What happens at the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written, and the process dies.
    DieBefore,
    /// It is written, an error is told, and the process dies as soon as it does something about it.
    FailAndDie,
    /// It is written, and the process dies before it hears of it.
    DieAfter,
    /// Nothing is written, and an error is told. The process lives.
    FailBefore,
    /// It is written, and an error is told. The process lives.
    FailAfter,
    /// It is written, and the process is taken for dead, but lives.
    TakenForDead,
}

/// Fails at one write, and does nothing any more for a process that is dead: what that asks for is
/// never answered. A write is the creation of an execution or an append.
#[derive(Debug)]
pub struct Faulty {
    fault: Fault,
    at: usize,
    writes: Arc<AtomicUsize>,
    dead: Arc<watch::Sender<bool>>,
}

impl Faulty {
    /// Fails at this write, counted from 1.
    pub fn new(fault: Fault, at: usize) -> Self {
        let (writes, dead) = (Arc::default(), Arc::new(watch::Sender::new(false)));
        Self { fault, at, writes, dead }
    }

    /// How many writes there were, those of a dead process included.
    pub fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    /// Ready when the process is dead, or taken for it. Cancel safe.
    pub async fn died(&self) {
        let mut dead = self.dead.subscribe();
        // The sender is here, so it is not gone.
        let _ = dead.wait_for(|dead| *dead).await;
    }

    /// Makes a write, with what is to happen at it.
    fn write<T: Send + 'static>(
        &self,
        write: BoxFuture<'static, Result<T, StoreError>>,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let number = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        let (fault, dead) = (self.fault, self.dead.clone());
        let broken = || StoreError::Unavailable {
            message: "the write fails because it is told to".to_owned(),
        };
        if *dead.borrow() && fault != Fault::TakenForDead {
            return std::future::pending().boxed();
        }
        if number != self.at {
            return write;
        }
        match fault {
            Fault::DieBefore => {
                dead.send_replace(true);
                std::future::pending().boxed()
            }
            Fault::DieAfter => async move {
                let _ = write.await;
                dead.send_replace(true);
                std::future::pending().await
            }
            .boxed(),
            Fault::FailAndDie => async move {
                let _ = write.await;
                dead.send_replace(true);
                Err(broken())
            }
            .boxed(),
            Fault::TakenForDead => {
                dead.send_replace(true);
                write
            }
            Fault::FailBefore => std::future::ready(Err(broken())).boxed(),
            Fault::FailAfter => async move {
                let _ = write.await;
                Err(broken())
            }
            .boxed(),
        }
    }
}

#[async_trait]
impl Twist for Faulty {
    async fn create(
        &self,
        inner: &Arc<dyn Store>,
        execution: NewExecution,
    ) -> Result<Created, StoreError> {
        let inner = inner.clone();
        self.write(async move { inner.create(execution).await }.boxed()).await
    }

    fn append(
        &self,
        inner: &Arc<dyn Store>,
        append: Append,
    ) -> BoxFuture<'static, Result<Appended, StoreError>> {
        // The store in memory does it at once, so that it must not even be asked too late.
        let inner = inner.clone();
        self.write(async move { inner.append(append).await }.boxed())
    }

    async fn before_change(&self) {
        if *self.dead.borrow() && self.fault != Fault::TakenForDead {
            std::future::pending().await
        }
    }
}
