//! Requests that come while a server starts and goes on with what another left behind.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::client::Request;
use crate::site::Site;
use crate::workload::{self, scale};

/// How often the server is killed, unless `FLOW_RECOVERIES` says otherwise.
const RECOVERIES: usize = 5;

/// How many executions there are to go on with each time, besides those that wait.
const LEFT: usize = 20;

#[test]
fn f45_while_it_recovers_a_server_answers_well_or_not_yet() {
    let mut site = Site::new();
    let outside = site.outside();
    let address = format!("127.0.0.1:{}", testkit::unused_port());
    let arguments = ["--allow-dir", outside.to_str().unwrap(), "--bind", &address];
    site.kill();
    site.start(&arguments);
    let ledger = outside.join("ledger");
    site.post("/api/v1/workflows", &workload::workflow(&ledger)).expect(201);
    let (address, token) = (site.address(), site.token());
    let mut started = Vec::new();
    for round in 0..scale("FLOW_RECOVERIES", RECOVERIES) {
        started.extend(
            (round * LEFT..(round + 1) * LEFT).map(|n| site.execute("load", json!({"n": n}))),
        );
        site.kill();
        let is_over = AtomicBool::new(false);
        let execution = format!("/api/v1/executions/{}", started[0]);
        let requests = [
            ("GET", "/healthz", [200, 200]),
            ("GET", "/readyz", [200, 503]),
            ("GET", "/api/v1/executions?limit=500", [200, 503]),
            ("GET", &*execution, [200, 503]),
            ("POST", workload::START, [202, 503]),
        ];
        let answers: usize = std::thread::scope(|scope| {
            let clients = requests.map(|(method, path, good)| {
                let (is_over, token) = (&is_over, &token);
                scope.spawn(move || {
                    let mut answers = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        let request = Request::new(address, method, path).token(token);
                        let request = match method {
                            "POST" => workload::start(request, LEFT),
                            _ => request,
                        };
                        match request.try_send() {
                            Ok(answer) => {
                                let text = answer.text();
                                assert!(good.contains(&answer.status), "{path}: {text}");
                                answers += 1;
                            }
                            // Nobody listens yet.
                            Err(error) => {
                                assert_eq!(
                                    error.kind(),
                                    io::ErrorKind::ConnectionRefused,
                                    "{path}"
                                );
                            }
                        }
                    }
                    answers
                })
            });
            site.start(&arguments);
            // Whatever was left goes on meanwhile.
            site.get("/readyz").expect(200);
            is_over.store(true, Ordering::Relaxed);
            clients.into_iter().map(|client| client.join().unwrap()).sum()
        });
        assert!(answers > 0);
        // None is cut off three times in a row, which would hold it.
        started[round * LEFT..].iter().for_each(|id| workload::until_it_waits(&site, id));
    }
    started.iter().for_each(|id| workload::signal(&site, id));
    for (n, id) in started.iter().enumerate() {
        workload::ended_once(&site, id, n);
    }
}
