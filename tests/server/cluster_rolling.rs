//! An upgrade: two servers on one database are stopped and started again one after the other, while
//! clients go on as `docs/operations.md` tells them to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use serde_json::{Value as Json, json};

use crate::client::{Answer, Request};
use crate::cluster::{soon, tables};
use crate::site::Site;
use crate::workload::{self, scale};

/// How often each server is stopped and started, unless `FLOW_ROLLS` says otherwise.
const ROLLS: usize = 1;

const CLIENTS: usize = 4;

/// How many executions are accepted before the next server is stopped.
const BETWEEN: usize = 25;

/// How often a request is sent at most, as the guide says.
const TRIES: usize = 6;

/// What clients know of the servers, and what became of what they asked for.
struct Balancer {
    addresses: Mutex<[SocketAddr; 2]>,
    token: String,
    /// Requests, however often each was sent.
    requests: AtomicUsize,
    /// Sent once more, because nobody answered or the answer was 503.
    retries: AtomicUsize,
    /// Requests that were never answered well.
    failed: AtomicUsize,
}

impl Balancer {
    /// Sends a request to one server after the other until one answers, other than with 503.
    fn ask(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<&Json>,
    ) -> Option<Answer> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        for attempt in 0..TRIES {
            let address = self.addresses.lock().unwrap()[(number + attempt) % 2];
            let request = Request::new(address, method, path).token(&self.token);
            let request = key
                .into_iter()
                .fold(request, |request, key| request.header("idempotency-key", key));
            let request = body.into_iter().fold(request, |request, body| request.json(body));
            match request.try_send() {
                Ok(answer) if answer.status != 503 => return Some(answer),
                _ => self.retries.fetch_add(1, Ordering::Relaxed),
            };
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Starts an execution, signals it, and looks at it; gives its id.
    fn execute(&self, n: usize) -> Option<String> {
        let inputs = json!({"inputs": {"n": n}});
        let accepted = self.ask("POST", workload::START, Some(&format!("n-{n}")), Some(&inputs))?;
        let id = accepted.expect(202).json()["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/executions/{id}");
        let payload = json!({"payload": 1000});
        let told = self.ask("POST", &format!("{path}/signals/go"), None, Some(&payload));
        // It has ended: the try before was heard, and its answer was lost.
        if let Some(told) = told
            && told.status != 409
        {
            told.expect(202);
        }
        if let Some(seen) = self.ask("GET", &path, None, None) {
            assert_eq!(seen.expect(200).json()["id"], id);
        }
        Some(id)
    }
}

#[test]
fn a_rolling_restart_under_load_fails_no_request_and_loses_nothing() {
    let Some(url) = tables("flow_rolling") else { return };
    let outside = tempfile::tempdir().unwrap();
    let arguments = ["--store", &url, "--allow-dir", outside.path().to_str().unwrap()];
    let mut sites = [(), ()].map(|()| Site::with(&arguments));
    let ledger = outside.path().join("ledger");
    sites[0].post("/api/v1/workflows", &workload::workflow(&ledger)).expect(201);
    let balancer = Balancer {
        addresses: Mutex::new([sites[0].address(), sites[1].address()]),
        token: sites[0].token_of("operator"),
        requests: AtomicUsize::new(0),
        retries: AtomicUsize::new(0),
        failed: AtomicUsize::new(0),
    };
    soon("both know the token and the workflow", || {
        let seen = sites[1].bare("GET", "/api/v1/workflows/load").token(&balancer.token).send();
        seen.status == 200
    });
    let (is_over, numbers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (tell, started) = mpsc::channel();
    let mut accepted = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let tell = tell.clone();
            let (balancer, is_over, numbers) = (&balancer, &is_over, &numbers);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let n = numbers.fetch_add(1, Ordering::Relaxed);
                    if let Some(id) = balancer.execute(n) {
                        tell.send((id, n)).unwrap();
                    }
                }
            });
        }
        for _ in 0..scale("FLOW_ROLLS", ROLLS) {
            for (server, site) in sites.iter_mut().enumerate() {
                accepted.extend(started.iter().take(BETWEEN));
                site.signal("TERM");
                let (status, log) = site.wait();
                assert_eq!(status.code(), Some(0), "{log}");
                site.start(&arguments);
                balancer.addresses.lock().unwrap()[server] = site.address();
            }
        }
        accepted.extend(started.iter().take(BETWEEN));
        is_over.store(true, Ordering::Relaxed);
    });
    drop(tell);
    accepted.extend(started);
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let (requests, failed) = (count(&balancer.requests), count(&balancer.failed));
    eprintln!(
        "{} executions, {requests} requests, {} sent again, {failed} failed",
        accepted.len(),
        count(&balancer.retries)
    );
    assert!(failed * 10_000 < requests, "{failed} of {requests} failed");
    for (id, n) in &accepted {
        workload::ended_once(&sites[n % 2], id, *n);
    }
    let noted = workload::ledger(&ledger);
    assert!(accepted.iter().all(|(_, n)| noted.contains_key(n)), "{noted:?}");
}
