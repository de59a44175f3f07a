//! Connections in memory, under a clock that stands still while somebody has something to do.

use std::net::IpAddr;

use axum::routing::get;
use flowruntime::FlowRuntime;
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::super::Places;
use super::*;

struct Stage {
    shared: Shared,
    places: Arc<Places>,
}

impl Stage {
    fn new() -> Self {
        let router = Router::new()
            .route("/", get(|| async { "ok" }))
            .route("/late", get(|| async { sleep(Duration::from_secs(600)).await }))
            .route("/large", get(|| async { "x".repeat(1 << 20) }));
        let places = Places::new(8, None);
        let runtime = FlowRuntime::builder().build().unwrap();
        let metrics =
            Arc::new(Metrics::new(runtime, places.clone(), Arc::default(), Arc::default()));
        let shared = Shared { router, draining: Draining::new(), metrics, times: TIMES };
        Self { shared, places }
    }

    /// A client, and the server's side of its connection.
    fn connect(&self) -> (DuplexStream, JoinHandle<()>) {
        let (client, stream) = duplex(1024);
        let address = ([127, 0, 0, 1], 1).into();
        let place = self.places.take(IpAddr::from([127, 0, 0, 1])).unwrap();
        (client, tokio::spawn(connection(stream, address, place, self.shared.clone())))
    }

    fn refused(&self, reason: &str) -> bool {
        let text = self.shared.metrics.to_text().unwrap();
        text.contains(&format!("flow_http_connections_refused_total{{reason=\"{reason}\"}} 1"))
    }
}

/// How many seconds it took, to the nearest one.
fn seconds(since: Instant) -> u64 {
    (since.elapsed() + Duration::from_millis(500)).as_secs()
}

const HEAD: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// Asks, and reads the whole answer.
async fn ask(client: &mut DuplexStream) {
    client.write_all(HEAD).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok") {
        let byte = client.read_u8().await.unwrap();
        answer.push(byte);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[tokio::test(start_paused = true)]
async fn s22_a_head_comes_within_ten_seconds_however_many_bytes_come_before() {
    let stage = Stage::new();
    let (began, (silent, served)) = (Instant::now(), stage.connect());
    served.await.unwrap();
    assert_eq!(seconds(began), 10);
    drop(silent);
    assert!(stage.refused("slow_head"));
    let stage = Stage::new();
    let (began, (mut client, served)) = (Instant::now(), stage.connect());
    let dribbles = async {
        for byte in HEAD.iter().cycle().filter(|byte| **byte != b'\n') {
            sleep(Duration::from_secs(1)).await;
            if client.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    };
    let (_, ended) = tokio::join!(dribbles, served);
    ended.unwrap();
    assert!((10..=12).contains(&seconds(began)), "{}", seconds(began));
    assert!(stage.refused("slow_head"));
    assert_eq!(stage.places.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn s22_a_connection_may_be_idle_for_a_minute_and_each_head_has_its_own_time() {
    let stage = Stage::new();
    let (mut client, served) = stage.connect();
    ask(&mut client).await;
    sleep(Duration::from_secs(59)).await;
    // The first byte comes in time, and from it on the head has its ten seconds.
    client.write_all(&HEAD[..5]).await.unwrap();
    sleep(Duration::from_secs(9)).await;
    client.write_all(&HEAD[5..]).await.unwrap();
    let mut answer = [0; 15];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    let began = Instant::now();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    served.await.unwrap();
    assert_eq!(seconds(began), 60);
    assert!(!stage.refused("slow_head"));
    let (mut client, served) = stage.connect();
    ask(&mut client).await;
    let began = Instant::now();
    client.write_all(&HEAD[..5]).await.unwrap();
    served.await.unwrap();
    assert_eq!(seconds(began), 10);
    assert!(stage.refused("slow_head"));
}

#[tokio::test(start_paused = true)]
async fn s22_an_answer_may_take_its_time_but_has_to_be_taken() {
    let stage = Stage::new();
    let (mut client, served) = stage.connect();
    client.write_all(b"GET /late HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    served.await.unwrap();
    let (mut client, served) = stage.connect();
    let began = Instant::now();
    client.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    served.await.unwrap();
    assert_eq!(seconds(began), 60);
    assert!(stage.refused("slow_reader"));
    assert_eq!(stage.places.count(), 0);
    // Whoever takes a little now and then may take long.
    let (mut client, served) = stage.connect();
    client.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let (mut taken, mut buffer) = (0, vec![0; 64 << 10]);
    while taken < 1 << 20 {
        sleep(Duration::from_secs(2)).await;
        taken += client.read(&mut buffer).await.unwrap();
    }
    let began = Instant::now();
    served.await.unwrap();
    assert_eq!(seconds(began), 60);
}

#[tokio::test(start_paused = true)]
async fn s05_what_nobody_asked_for_is_hardly_read() {
    let stage = Stage::new();
    let (mut client, served) = stage.connect();
    client
        .write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 104857600\r\n\r\n")
        .await
        .unwrap();
    let mut sent = 0;
    while client.write_all(&[b'x'; 512]).await.is_ok() {
        sent += 512;
        assert!(sent <= 66 << 10, "{sent}");
    }
    served.await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 405"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test(start_paused = true)]
async fn s23_the_preface_of_http2_is_refused_at_once() {
    let stage = Stage::new();
    let (mut client, served) = stage.connect();
    let began = Instant::now();
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    served.await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    assert_eq!((seconds(began), stage.places.count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_ends_idle_connections_and_waits_for_answers() {
    let stage = Stage::new();
    let (mut idle, idle_served) = stage.connect();
    ask(&mut idle).await;
    let (mut late, late_served) = stage.connect();
    late.write_all(b"GET /late HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    stage.shared.draining.begin();
    idle_served.await.unwrap();
    assert_eq!((seconds(began), stage.places.count()), (0, 1));
    stage.places.are_empty().await;
    assert_eq!(seconds(began), 599);
    late_served.await.unwrap();
}
