//! The page at `/`: three files that are part of the binary.

use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};

use crate::route::{Route, open_route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        open_route(Method::GET, "/", index)
            .about("page", "A page to list executions and watch one live")
            .answers_with(200, "text/html", None),
        open_route(Method::GET, "/app.js", script)
            .about("page.script", "The script of the page")
            .answers_with(200, "text/javascript", None),
        open_route(Method::GET, "/style.css", style)
            .about("page.style", "The style of the page")
            .answers_with(200, "text/css", None),
    ]
}

fn file(content_type: &'static str, text: &'static str) -> Response {
    // Asked for again each time, and small: an upgrade is seen at once.
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, text).into_response()
}

async fn index() -> Response {
    file("text/html; charset=utf-8", include_str!("../../ui/index.html"))
}

async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("../../ui/app.js"))
}

async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("../../ui/style.css"))
}
