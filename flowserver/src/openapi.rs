//! The OpenAPI document, made from the table of routes.

use axum::http::StatusCode;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

use crate::problem;
use crate::route::{ANYWHERE, Needs, Route};

/// The document of these routes.
pub(crate) fn document(routes: &[Route]) -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Json> = Map::new();
    for route in routes {
        let operation = operation(route, &mut generator);
        let method = route.method.as_str().to_ascii_lowercase();
        // A part that takes the rest of a path is one like others to readers.
        let path = paths.entry(route.path.replace("{*", "{")).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(method, operation);
        }
    }
    let problem = generator.subschema_for::<problem::Document<'_>>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Flow",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Runs workflows. Every error is a problem document (RFC 9457) with a stable code.",
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": {
                "Problem": {
                    "description": "Why the request was not done.",
                    "content": {"application/problem+json": {"schema": problem}},
                },
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Json {
    let mut responses = Map::new();
    for answer in &route.answers {
        let response = responses.entry(answer.status.to_string());
        let response = response.or_insert_with(|| json!({"description": describe(answer.status)}));
        if !answer.content_type.is_empty() {
            let schema = answer.schema.map_or_else(|| json!({}), |make| make(generator).to_value());
            response["content"][answer.content_type] = json!({"schema": schema});
        }
    }
    let mut problems = route.problems.clone();
    problems.extend(ANYWHERE);
    problems.sort_unstable();
    for status in problems {
        let reference = || json!({"$ref": "#/components/responses/Problem"});
        responses.entry(status.to_string()).or_insert_with(reference);
    }
    if let Some(summary) = route.otherwise {
        let response = json!({"description": summary, "content": {"*/*": {"schema": {}}}});
        responses.insert("default".to_owned(), response);
    }
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "parameters": parameters(route, generator),
        "responses": responses,
    });
    if let Some(body) = route.body {
        let schema = body(generator).to_value();
        operation["requestBody"] = json!({"content": {"application/json": {"schema": schema}}});
    }
    let needs = match route.needs {
        Needs::Nothing => None,
        Needs::Role(role) => Some(format!("Needs the role `{role}`.")),
        Needs::Installation => Some("Needs a token of the `installation`.".to_owned()),
    };
    if let Some(needs) = needs {
        operation["security"] = json!([{"token": []}]);
        operation["description"] = json!(needs);
    }
    operation
}

fn describe(status: u16) -> &'static str {
    let status = StatusCode::from_u16(status).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or("An answer")
}

/// The parts of the path that have names, the parameters after `?`, and the headers.
fn parameters(route: &Route, generator: &mut SchemaGenerator) -> Vec<Json> {
    let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let names = names.map(|name| name.trim_start_matches('*'));
    let mut all: Vec<Json> = names
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    if let Some(query) = route.query {
        let schema = query(generator).to_value();
        let properties = schema.get("properties").and_then(Json::as_object).cloned();
        for (name, mut property) in properties.unwrap_or_default() {
            let description = property.as_object_mut().and_then(|one| one.remove("description"));
            all.push(json!({
                "name": name,
                "in": "query",
                "required": false,
                "description": description.unwrap_or_default(),
                "schema": property,
            }));
        }
    }
    for (name, summary) in &route.headers {
        let schema = json!({"type": "string"});
        all.push(json!({"name": name, "in": "header", "description": summary, "schema": schema}));
    }
    all
}
