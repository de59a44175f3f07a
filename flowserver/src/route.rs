//! The table of routes: what each one is, who may use it, and how it is described.
//!
//! The router and the OpenAPI document are made from the same table, so no route is open or
//! undescribed by mistake.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::app::App;
use crate::auth::{Guard, Role, guard};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Everybody.
    Nothing,
    /// Callers with a token of this role, or one that may do more.
    Role(Role),
    /// Callers with an admin's token of the installation.
    Installation,
}

/// The statuses of problem documents that every route may answer: a request may come from another site
/// or be for another host, meet a bug, or find that the store does not answer or that there are too many
/// connections.
pub(crate) const ANYWHERE: [u16; 4] = [403, 421, 500, 503];

/// Makes the schema of a type.
pub(crate) type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// One method of one path.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) needs: Needs,
    /// Names the operation in the OpenAPI document.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    /// An object whose properties are the parameters after `?`.
    pub(crate) query: Option<MakeSchema>,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: Option<MakeSchema>,
    pub(crate) answers: Vec<Answer>,
    /// The statuses of its problem documents, but for [`ANYWHERE`].
    pub(crate) problems: Vec<u16>,
    /// What it may answer with any other status, if it may.
    pub(crate) otherwise: Option<&'static str>,
    handler: MethodRouter<Arc<App>>,
}

/// What a route answers when all is well.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) schema: Option<MakeSchema>,
}

impl Route {
    fn new<H, T>(method: Method, path: &'static str, needs: Needs, handler: H) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("it is a usual method");
        let mut problems = match needs {
            Needs::Nothing => Vec::new(),
            Needs::Role(_) | Needs::Installation => vec![401, 429],
        };
        // What a path names may not be there.
        if path.contains('{') {
            problems.push(404);
        }
        Self {
            method,
            path,
            needs,
            id: "",
            summary: "",
            query: None,
            headers: Vec::new(),
            body: None,
            answers: Vec::new(),
            problems,
            otherwise: None,
            handler: on(filter, handler),
        }
    }

    /// Says what it is called and what it does.
    pub(crate) fn about(mut self, id: &'static str, summary: &'static str) -> Self {
        (self.id, self.summary) = (id, summary);
        self
    }

    /// The parameters after `?`.
    pub(crate) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(|generator| generator.root_schema_for::<T>());
        self.problems.push(400);
        self
    }

    /// A header that it heeds.
    pub(crate) fn header(mut self, name: &'static str, summary: &'static str) -> Self {
        self.headers.push((name, summary));
        self
    }

    /// The body of its requests, which is JSON of this form.
    pub(crate) fn body<T: JsonSchema>(self) -> Self {
        self.any_body::<T>().problems(&[422])
    }

    /// The body of its requests, which should have this form; the answer says what is wrong with it.
    pub(crate) fn any_body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(|generator| generator.subschema_for::<T>());
        self.problems(&[400, 408, 413, 415])
    }

    /// An answer with a JSON body.
    pub(crate) fn answers<T: JsonSchema>(self, status: u16) -> Self {
        let schema: MakeSchema = |generator| generator.subschema_for::<T>();
        self.answers_with(status, "application/json", Some(schema))
    }

    /// An answer without a body.
    pub(crate) fn answers_nothing(self, status: u16) -> Self {
        self.answers_with(status, "", None)
    }

    /// An answer of another type.
    pub(crate) fn answers_with(
        mut self,
        status: u16,
        content_type: &'static str,
        schema: Option<MakeSchema>,
    ) -> Self {
        self.answers.push(Answer { status, content_type, schema });
        self
    }

    /// The same answer as text of another type, for those who ask for it.
    pub(crate) fn answers_also(self, status: u16, content_type: &'static str) -> Self {
        self.answers_with(status, content_type, None)
    }

    /// What it may answer with any other status.
    pub(crate) fn answers_otherwise(mut self, summary: &'static str) -> Self {
        self.otherwise = Some(summary);
        self
    }

    /// More statuses of its problem documents.
    pub(crate) fn problems(mut self, statuses: &[u16]) -> Self {
        self.problems.extend(statuses);
        self
    }
}

/// A route for callers of a role.
pub(crate) fn route<H, T>(method: Method, path: &'static str, needs: Role, handler: H) -> Route
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    Route::new(method, path, Needs::Role(needs), handler)
}

/// A route for callers with a token of the installation.
pub(crate) fn installation_route<H, T>(method: Method, path: &'static str, handler: H) -> Route
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    Route::new(method, path, Needs::Installation, handler)
}

/// A route for everybody: one that tells nothing and changes nothing.
pub(crate) fn open_route<H, T>(method: Method, path: &'static str, handler: H) -> Route
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    Route::new(method, path, Needs::Nothing, handler)
}

/// The router of a table.
pub(crate) fn router(app: &Arc<App>, routes: Vec<Route>) -> Router<Arc<App>> {
    let mut router = Router::new();
    for route in routes {
        let needed = match route.needs {
            Needs::Nothing => None,
            Needs::Role(role) => Some((role, false)),
            Needs::Installation => Some((Role::Admin, true)),
        };
        let handler = match needed {
            None => route.handler,
            Some((needs, of_installation)) => {
                let state = Guard { app: app.clone(), needs, of_installation };
                route.handler.route_layer(from_fn_with_state(state, guard))
            }
        };
        router = router.route(route.path, handler);
    }
    router
}
