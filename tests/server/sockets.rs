//! Events over WebSocket: the same as elsewhere, and nothing else.

use serde_json::{Value as Json, json};

use crate::site::Site;
use crate::websocket::{Said, WebSocket, handshake};

fn waits() -> Json {
    json!([
        {"id": "paid", "node_type": "wait.signal", "config": {"name": "paid"}},
        {"id": "last", "node_type": "debug.log", "config": {"message": "{{ nodes.paid.payload }}"}},
    ])
}

fn open(site: &Site, path: &str) -> WebSocket {
    let opened = WebSocket::open(site.request("GET", path));
    opened.unwrap_or_else(|answer| panic!("{answer:?}"))
}

/// Reads until a message of this type.
fn until(socket: &mut WebSocket, name: &str) -> Vec<Json> {
    let mut messages = Vec::new();
    loop {
        let Said::Message(message) = socket.next() else { panic!("{name} did not come") };
        let is_last = message["type"] == name;
        messages.push(message);
        if is_last {
            return messages;
        }
    }
}

fn facts(messages: &[Json]) -> Vec<&Json> {
    messages.iter().filter(|message| message.get("seq").is_some()).collect()
}

#[test]
fn an_execution_is_heard_to_its_end_and_from_anywhere() {
    let site = Site::new();
    site.save("waits", waits());
    let id = site.execute("waits", json!({}));
    let path = format!("/api/v1/executions/{id}/events/ws");
    let mut socket = open(&site, &path);
    let mut messages = until(&mut socket, "NodeWaiting");
    // What a client says is not heard, as long as it is short.
    socket.send(1, b"{\"type\": \"cancel\"}").unwrap();
    socket.send(2, &[0; 4096]).unwrap();
    socket.send(9, b"are you there").unwrap();
    site.post(&format!("/api/v1/executions/{id}/signals/paid"), &json!({})).expect(202);
    let (mut rest, mut code) = (Vec::new(), 0);
    while code == 0 {
        match socket.next_or_pong() {
            Some(Said::Message(message)) => rest.push(message),
            Some(Said::Close(with)) => code = with,
            Some(Said::Nothing) => panic!("no close"),
            Some(Said::Ping) | None => {}
        }
    }
    messages.extend(rest);
    assert_eq!(code, 1000);
    let journal = site.get(&format!("/api/v1/executions/{id}/journal")).expect(200).json();
    let items: Vec<_> = journal["items"].as_array().unwrap().iter().collect();
    assert_eq!(facts(&messages), items);
    let (after, code) = open(&site, &format!("{path}?after=2")).rest();
    assert_eq!((facts(&after), code), (items[2..].to_vec(), 1000));
}

#[test]
fn all_executions_are_heard_with_cursors() {
    let site = Site::new();
    site.save("waits", waits());
    let mut socket = open(&site, "/api/v1/events/ws?workflow=waits");
    let Said::Message(first) = socket.next() else { panic!("nothing is said") };
    assert_eq!(first["type"], "Listening");
    let id = site.execute("waits", json!({}));
    let messages = until(&mut socket, "NodeWaiting");
    assert!(messages.iter().all(|message| message["execution_id"] == *id));
    drop(socket);
    site.post(&format!("/api/v1/executions/{id}/signals/paid"), &json!({})).expect(202);
    site.end_of(&id);
    let cursor = messages.last().unwrap()["cursor"].as_str().unwrap();
    let mut again = open(&site, &format!("/api/v1/events/ws?after={cursor}"));
    let missed = until(&mut again, "Listening");
    let last = missed.iter().filter_map(|message| message["seq"].as_u64()).max();
    let journal = site.get(&format!("/api/v1/executions/{id}/journal")).expect(200).json();
    assert_eq!(last, Some(journal["items"].as_array().unwrap().len() as u64));
}

#[test]
fn s12_s03_only_who_may_opens_one() {
    let site = Site::new();
    for path in ["/api/v1/events/ws", "/api/v1/executions/x/events/ws"] {
        let bare = handshake(site.bare("GET", path)).send();
        assert_eq!(bare.expect(401).code(), "auth.unknown_token", "{path}");
        let foreign = site.request("GET", path).header("origin", "https://evil.test");
        assert_eq!(handshake(foreign).send().expect(403).code(), "request.foreign_origin");
    }
    let missing = "/api/v1/executions/00000000-0000-7000-8000-000000000000/events/ws";
    let answer = handshake(site.request("GET", missing)).send();
    assert_eq!(answer.expect(404).code(), "execution.not_found");
    let plain = site.get("/api/v1/events/ws").expect(426);
    assert_eq!(
        (plain.code(), &*plain.headers["upgrade"]),
        ("request.no_websocket".to_owned(), "websocket")
    );
    let own = format!("http://{}", site.address());
    let cookie = format!("flow_session={}", site.token());
    let page = site.bare("GET", "/api/v1/events/ws").header("cookie", &cookie);
    assert!(WebSocket::open(page.header("origin", &own)).is_ok());
}

#[test]
fn a_server_that_stops_says_so_and_a_client_that_talks_too_much_is_left() {
    let mut site = Site::new();
    site.save("waits", waits());
    let id = site.execute("waits", json!({}));
    let path = format!("/api/v1/executions/{id}/events/ws");
    let mut talker = open(&site, &path);
    let _ = talker.send(1, &vec![b'x'; 5000]);
    let (_, code) = talker.rest();
    assert_ne!(code, 1000);
    let (mut one, mut all) = (open(&site, &path), open(&site, "/api/v1/events/ws"));
    until(&mut one, "NodeWaiting");
    until(&mut all, "Listening");
    site.signal("TERM");
    assert_eq!((one.rest().1, all.rest().1), (1012, 1012));
    let (status, log) = site.wait();
    assert!(status.success(), "{log}");
}

#[test]
fn s07_listeners_are_gone_with_their_token() {
    let site = Site::new();
    site.save("waits", waits());
    let id = site.execute("waits", json!({}));
    let given = site.post("/api/v1/tokens", &json!({"name": "ear", "role": "viewer"})).expect(201);
    let given = given.json();
    let token = given["token"].as_str().unwrap();
    let ask = |path: &str| site.bare("GET", path).token(token);
    let sse = ask(&format!("/api/v1/executions/{id}/events")).listen();
    let mut all = WebSocket::open(ask("/api/v1/events/ws")).ok().unwrap();
    until(&mut all, "Listening");
    let path = format!("/api/v1/tokens/{}", given["id"].as_str().unwrap());
    site.request("DELETE", &path).send().expect(204);
    // Both end, though the execution goes on.
    let names: Vec<String> = sse.map(|event| event.name).collect();
    assert_eq!(names.last().map(String::as_str), Some("NodeWaiting"));
    assert_eq!(all.rest().1, 1008);
}
