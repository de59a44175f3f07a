//! `flowcli --server`, against a server as people start it.

mod runs;
mod verbs;

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value as Json;

use crate::site::Site;

/// What a command said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn json(&self) -> Json {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// The command failed so, and says all of this.
    #[track_caller]
    fn fails(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        for text in texts {
            assert!(self.err.contains(text), "no {text:?} in:\n{}", self.err);
        }
    }
}

/// The program that the server's tests find beside it.
fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_flowserver")).with_file_name("flowcli");
    assert!(path.exists(), "{} is not built: `cargo build -p flowcli` does", path.display());
    path
}

/// The folder of the files of these tests.
fn folder(site: &Site) -> PathBuf {
    site.data().parent().unwrap().to_owned()
}

fn command(site: &Site, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FLOW_")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(folder(site)).env("NO_COLOR", "1");
    command.env("FLOW_SERVER", format!("http://{}", site.address()));
    command.env("FLOW_TOKEN_FILE", site.data().join("token"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(child: Child) -> Said {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn flowcli(site: &Site, arguments: &[&str]) -> Said {
    said(command(site, arguments).spawn().unwrap())
}

fn write(site: &Site, name: &str, text: &str) {
    std::fs::write(folder(site).join(name), text).unwrap();
}

/// An address that leads to a server which may be another one after a while.
struct Relay {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
}

impl Relay {
    fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(target));
        let current = target.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                // Where nobody is, the client is let go.
                let target = *current.lock().unwrap();
                let Ok(server) = TcpStream::connect(target) else { continue };
                pass(client.try_clone().unwrap(), server.try_clone().unwrap());
                pass(server, client);
            }
        });
        Self { address, target }
    }

    fn moves_to(&self, target: SocketAddr) {
        *self.target.lock().unwrap() = target;
    }
}

/// Passes on what comes, and the end of it.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    });
}

const DOUBLE: &str = r#"
  { "inputs": { "n": { "type": "integer" } },
    "nodes": [
      { "id": "twice", "node_type": "debug.log", "config": { "message": "{{ inputs.n * 2 }}" } }
    ],
    "outputs": { "n": "{{ nodes.twice.message }}" } }
"#;

const WAITS: &str = r#"{ "id": "waits", "nodes": [
  { "id": "first", "node_type": "debug.log", "config": { "message": "1" } },
  { "id": "ask", "node_type": "wait.approval", "config": { "message": "go on?" } },
  { "id": "last", "node_type": "debug.log", "config": { "message": "2" } }
], "connections": [{ "from_node": "ask", "from_port": "approved", "to_node": "last" }],
  "outputs": { "done": "{{ nodes.last.message }}" } }"#;

/// The one execution of a site.
fn only_id(site: &Site) -> String {
    let list = site.get("/api/v1/executions").expect(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    list["items"][0]["id"].as_str().unwrap().to_owned()
}

/// Waits until an execution is there, and then until it waits for somebody.
fn waiting_id(site: &Site) -> String {
    let begun = std::time::Instant::now();
    while site.get("/api/v1/executions").json()["items"][0].is_null() {
        assert!(begun.elapsed().as_secs() < 60, "nothing was started");
        std::thread::yield_now();
    }
    let id = only_id(site);
    site.until(&id, "NodeWaiting");
    id
}
