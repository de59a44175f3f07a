//! `custom-node serve`: a server that has the node.
#![cfg(all(unix, feature = "serve"))]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// A process that ends with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_server_has_the_node() {
    let data = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("serve");
    let _ = std::fs::remove_dir_all(&data);
    let mut command = Command::new(env!("CARGO_BIN_EXE_custom-node"));
    command.args(["serve", "--bind", "127.0.0.1:0", "--data-dir"]).arg(&data);
    let mut server = Served(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut stderr = BufReader::new(server.0.stderr.take().unwrap());
    let mut said = String::new();
    while !(said.contains("\n  curl ") && said.ends_with('\n')) {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "the server did not start:\n{said}");
    }
    let address = said.split("listens at http://").nth(1).unwrap().lines().next().unwrap();
    let token = std::fs::read_to_string(data.join("token")).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /api/v1/nodes/text.slugify HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Authorization: Bearer {}\r\n\r\n",
        token.trim()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("\"node_type\":\"text.slugify\""), "{answer}");
}
