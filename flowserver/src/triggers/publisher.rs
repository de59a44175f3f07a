//! What nodes publish goes to the triggers of the server.

use std::sync::{Arc, OnceLock, Weak};

use flowcore::{NodeError, async_trait};
use flownodes::event::{Delivery, Publication, Publisher, unavailable};

use super::publish::{PublishError, publish};
use crate::app::App;
use crate::audit;

/// Publishes what the nodes of a server say. It is made before the server is, whose nodes have it.
#[derive(Clone, Default)]
pub(crate) struct ServerPublisher(Arc<OnceLock<Weak<App>>>);

impl ServerPublisher {
    /// From now on there are triggers to publish to.
    pub(crate) fn serve(&self, app: &Arc<App>) {
        // There is one server.
        let _ = self.0.set(Arc::downgrade(app));
    }
}

#[async_trait]
impl Publisher for ServerPublisher {
    async fn publish(&self, event: Publication) -> Result<Vec<Delivery>, NodeError> {
        let app = self.0.get().and_then(Weak::upgrade);
        let app = app.ok_or_else(|| unavailable("the server starts, or stops"))?;
        let entry = |action: &str, subject: &str, more| {
            audit::scheduled(&event.project, action, subject, more)
        };
        publish(&app, &event, &entry).await.map_err(|error| match error {
            PublishError::Store(error) => unavailable(error.to_string()),
            PublishError::Value(error) => NodeError::new(error.code(), error.to_string()),
        })
    }
}
