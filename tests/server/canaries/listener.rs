//! A server that hears what is sent.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Answers requests, repeats nothing of them, and remembers all of them.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) heard: Arc<Mutex<Vec<u8>>>,
}

impl Listener {
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let memory = heard.clone();
        // It goes with the process of the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let memory = memory.clone();
                std::thread::spawn(move || answer(stream.unwrap(), &memory));
            }
        });
        Self { address, heard }
    }
}

fn answer(mut stream: TcpStream, heard: &Mutex<Vec<u8>>) {
    let (mut request, mut part) = (Vec::new(), [0; 4096]);
    let is_whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_ascii_lowercase();
        let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.lines().next()?.trim().parse().ok());
        request.len() >= head.len() + 4 + length.unwrap_or(0)
    };
    while !is_whole(&request) {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return,
            Ok(length) => request.extend(&part[..length]),
        }
    }
    let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
    heard.lock().unwrap().extend(request);
    let (status, more) = if line.contains("/fails") {
        ("500 Internal Server Error", "")
    } else if line.contains("/moved") {
        ("302 Found", "location: /ok\r\n")
    } else {
        ("200 OK", "")
    };
    let _ = stream.write_all(
        format!(
            "HTTP/1.1 {status}\r\n{more}content-type: application/json\r\ncontent-length: 2\r\n\
             connection: close\r\n\r\n{{}}"
        )
        .as_bytes(),
    );
}
