//! `examples/http-orders`, against a server that fails first.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::support::run;

/// What the shop was asked.
#[derive(Default)]
struct Asked {
    orders: u32,
    /// Idempotency keys and bodies.
    reports: Vec<(String, Value)>,
}

type Shop = Arc<Mutex<Asked>>;

/// Gives 503 to the first question.
async fn orders(State(shop): State<Shop>) -> Response {
    let mut asked = shop.lock().unwrap();
    asked.orders += 1;
    if asked.orders == 1 {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    Json(json!([
        { "id": 1, "customer": "ada", "price": 12, "quantity": 2 },
        { "id": 2, "customer": "grace", "price": 99, "quantity": 1 },
        { "id": 3, "customer": "ada", "price": 5, "quantity": 1 },
    ]))
    .into_response()
}

/// Takes the first report and then loses the answer, as a network may.
async fn reports(
    State(shop): State<Shop>,
    headers: HeaderMap,
    Json(report): Json<Value>,
) -> Response {
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let mut asked = shop.lock().unwrap();
    asked.reports.push((key, report));
    if asked.reports.len() == 1 {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    (StatusCode::CREATED, Json(json!({ "id": 7 }))).into_response()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_are_sent_back_in_spite_of_failures() {
    let shop = Shop::default();
    let app = Router::new()
        .route("/orders", get(orders))
        .route("/reports", post(reports))
        .with_state(shop.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let result = tokio::task::spawn_blocking(move || {
        run("examples/http-orders/workflow.json", &[&format!("base_url=http://{address}")])
    });
    let result = result.await.unwrap();
    server.abort();

    let ranking = json!([
        { "customer": "grace", "orders": 1, "total": 99 },
        { "customer": "ada", "orders": 2, "total": 29 },
    ]);
    assert_eq!(result["status"], "Succeeded", "{result:#}");
    assert_eq!(result["outputs"], json!({ "ranking": ranking, "report": { "id": 7 } }));
    assert_eq!(result["nodes"]["orders"]["attempts"], 2);
    assert_eq!(result["nodes"]["report"]["attempts"], 2);
    let asked = shop.lock().unwrap();
    let [(first, report), (second, _)] = &asked.reports[..] else { panic!("two attempts") };
    assert_eq!(first, second, "every attempt sends the same key");
    assert_eq!(*report, json!({ "ranking": ranking }));
}
