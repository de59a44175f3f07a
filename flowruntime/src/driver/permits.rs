//! Permits for attempts, one after another.

use std::pin::Pin;

use flowcore::machine::Fact;
use futures_util::FutureExt;
use tokio::sync::{AcquireError, OwnedSemaphorePermit};

use super::{DriveError, Driver};

pub(super) type PermitRequest =
    Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

impl Driver {
    /// Has at most one request for a permit outstanding, and only while the machine wants one. An
    /// inline node is let start without: it keeps the driver, and nobody else, from going on.
    /// Whoever is to leave the execution to somebody else starts nothing.
    pub(super) fn ask_for_permit(&mut self) -> Result<(), DriveError> {
        if self.is_handed_back {
            return Ok(());
        }
        while let Some(instance) = self.machine.wants_permit_for() {
            if self.is_inline(instance) {
                // What waited for one before has lost its turn.
                self.permit_request = None;
                self.permit_granted(None)?;
            } else if let Some(permit) = self.try_permit() {
                self.permit_granted(Some(permit))?;
            } else {
                let permits = self.shared.permits.clone();
                self.permit_request.get_or_insert_with(|| Box::pin(permits.acquire_owned()));
                return Ok(());
            }
            if self.has_wishes() {
                return Ok(());
            }
        }
        self.permit_request = None;
        Ok(())
    }

    fn try_permit(&mut self) -> Option<OwnedSemaphorePermit> {
        let permits = &self.shared.permits;
        // Unless there are others, somebody may wait whose turn it would be.
        if permits.available_permits() == 0 {
            self.spare_permits = None;
        }
        // Perhaps it is the turn of this one: what ended and what starts next are then written together.
        if let Some(request) = &mut self.permit_request {
            let permit = request.now_or_never()?;
            self.permit_request = None;
            return permit.ok();
        }
        let spare = self.spare_permits.as_mut().and_then(|spare| spare.split(1));
        spare.or_else(|| permits.clone().try_acquire_owned().ok())
    }

    pub(super) fn permit_granted(
        &mut self,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<(), DriveError> {
        self.permit_request = None;
        if self.machine.plan().has_rate_limits()
            && let Some(instance) = self.machine.wants_permit_for()
            && self.must_wait(instance, self.now())?
        {
            // The permit goes back: another node may want one.
            return Ok(());
        }
        self.permit = permit;
        self.handle(Fact::PermitGranted)
    }
}

pub(super) async fn wait_for_permit(
    request: &mut Option<PermitRequest>,
) -> Option<OwnedSemaphorePermit> {
    match request {
        Some(request) => request.await.ok(),
        None => std::future::pending().await,
    }
}
