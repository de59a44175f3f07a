//! Lists, part by part.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// How many items a part has, unless said otherwise.
pub(super) const USUAL: usize = 50;

/// The most items that a part may have.
const MOST: usize = 500;

/// How many items are asked for.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    match asked {
        None => Ok(USUAL),
        Some(limit @ 1..=MOST) => Ok(limit),
        Some(_) => {
            let detail = format!("`limit` must be from 1 to {MOST}");
            Err(Problem::bad_request("request.bad_query", detail))
        }
    }
}

/// Which part of a list is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// How many, at most 500.
    pub(super) limit: Option<usize>,
    /// Where the list goes on: the `next_cursor` of the part before.
    pub(super) cursor: Option<String>,
}

/// Cuts what was found to a part of so many; gives where the list goes on. One more than `limit` is
/// asked for, to know whether there are more.
pub(super) fn cut<T>(
    found: &mut Vec<T>,
    limit: usize,
    cursor: impl FnOnce(&T) -> String,
) -> Option<String> {
    if found.len() <= limit {
        return None;
    }
    found.truncate(limit);
    found.last().map(cursor)
}

/// Which part of a list of triggers is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PartOfTriggers {
    /// How many, at most 500.
    limit: Option<usize>,
    /// Where the list goes on: the `next_cursor` of the part before.
    cursor: Option<String>,
    /// Only those of this workflow.
    workflow: Option<String>,
}

impl PartOfTriggers {
    /// Cuts a list by workflow and trigger, which `name` says of each; gives where it goes on.
    pub(super) fn cut<T>(
        &self,
        found: &mut Vec<T>,
        name: impl Fn(&T) -> (&str, &str),
    ) -> Result<Option<String>, Problem> {
        let limit = limit(self.limit)?;
        if let Some(workflow) = &self.workflow {
            found.retain(|one| name(one).0 == workflow);
        }
        if let Some(cursor) = &self.cursor {
            let after = cursor.split_once('.').ok_or_else(bad_cursor)?;
            found.retain(|one| name(one) > after);
        }
        Ok(cut(found, limit, |one| {
            let (workflow, trigger) = name(one);
            format!("{workflow}.{trigger}")
        }))
    }
}

/// A cursor is what this server gave before.
pub(super) fn bad_cursor() -> Problem {
    Problem::bad_request("request.bad_cursor", "`cursor` is none that this server gave")
}

/// The parameters after `?`.
pub(super) struct Params<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        let bad = |error: axum::extract::rejection::QueryRejection| {
            Problem::bad_request("request.bad_query", error.body_text())
        };
        query.map(|Query(params)| Self(params)).map_err(bad)
    }
}

/// The parts of the path that have names.
pub(super) struct Named<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        // What has not the form of an id names nothing.
        let bad = |error: axum::extract::rejection::PathRejection| {
            Problem::not_found("request.no_such_path", error.body_text())
        };
        path.map(|Path(names)| Self(names)).map_err(bad)
    }
}
