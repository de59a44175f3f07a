//! A server of its own, in a folder of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::client::{Answer, Request};

/// On a busy machine the server may be slow, but not for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder, and the server that works in it.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    /// Variables of the server, such as `FLOW_SECRET_API_KEY`.
    environment: Vec<(String, String)>,
    server: Option<Running>,
}

struct Running {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

/// The command of a server whose data is in a folder.
pub(crate) fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowserver"));
    command.arg("--data-dir").arg(data);
    let is_heeded = |name: &str| name.starts_with("FLOW_") || name.starts_with("OTEL_");
    for (name, _) in std::env::vars().filter(|(name, _)| is_heeded(name)) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// A server with these arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        Self::with_secrets(arguments, &[])
    }

    /// A server with these arguments and secrets.
    pub(crate) fn with_secrets(arguments: &[&str], secrets: &[(&str, &str)]) -> Self {
        let variable = |name: &str| format!("FLOW_SECRET_{}", name.to_ascii_uppercase());
        let secrets = secrets.iter().map(|(name, value)| (variable(name), (*value).to_owned()));
        Self::begin(arguments, secrets.collect())
    }

    /// A server with these arguments and variables.
    pub(crate) fn within(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self::begin(arguments, owned.collect())
    }

    fn begin(arguments: &[&str], environment: Vec<(String, String)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut site = Self { folder, environment, server: None };
        site.start(arguments);
        site
    }

    /// A folder beside the data, for what nodes write.
    pub(crate) fn outside(&self) -> PathBuf {
        let folder = self.folder.path().join("outside");
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts a server; the one before is gone.
    pub(crate) fn start(&mut self, arguments: &[&str]) {
        self.start_with(arguments, &[]);
    }

    /// The same, with these variables.
    pub(crate) fn start_with(&mut self, arguments: &[&str], variables: &[(&str, &str)]) {
        assert!(self.server.is_none());
        let mut command = command(&self.data());
        if !arguments.contains(&"--bind") {
            command.args(["--bind", "127.0.0.1:0"]);
        }
        command.envs(self.environment.clone()).args(arguments);
        let mut child = command.envs(variables.iter().copied()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut log = String::new();
        // What it says last before it serves.
        while !log.contains("\n  curl ") || !log.ends_with('\n') {
            if stderr.read_line(&mut log).unwrap() == 0 {
                panic!("the server did not start:\n{log}");
            }
        }
        let (_, address) = log.split_once("listens at http://").unwrap();
        let address = address.lines().next().unwrap().parse().unwrap();
        let log = Arc::new(Mutex::new(log));
        let reader = std::thread::spawn({
            let log = log.clone();
            move || {
                let mut line = Vec::new();
                while stderr.read_until(b'\n', &mut line).unwrap_or(0) > 0 {
                    log.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
                    line.clear();
                }
                let _ = stderr.read_to_end(&mut line);
            }
        });
        self.server = Some(Running { child, address, log, reader });
    }

    fn running(&self) -> &Running {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running().address
    }

    /// What the server has written to standard error so far.
    pub(crate) fn log(&self) -> String {
        self.running().log.lock().unwrap().clone()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running().child.id()
    }

    /// Waits until the server has written this to standard error.
    pub(crate) fn until_it_says(&self, text: &str) {
        let began = Instant::now();
        while !self.log().contains(text) {
            assert!(began.elapsed() < PATIENCE, "it does not say {text:?}:\n{}", self.log());
            std::thread::yield_now();
        }
    }

    /// The most memory that the server has held so far, in KiB.
    pub(crate) fn most_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Sends the server a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until the server has ended; gives how, and what it wrote.
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        let mut server = self.server.take().unwrap();
        let status = server.child.wait().unwrap();
        server.reader.join().unwrap();
        let log = server.log.lock().unwrap().clone();
        (status, log)
    }

    pub(crate) fn kill(&mut self) {
        self.running();
        self.server.as_mut().unwrap().child.kill().unwrap();
        self.wait();
    }

    /// The token of the operator.
    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.data().join("token")).unwrap().trim().to_owned()
    }

    /// A request without a token.
    pub(crate) fn bare(&self, method: &str, path: &str) -> Request {
        Request::new(self.address(), method, path)
    }

    /// A request of the operator.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        self.bare(method, path).token(&self.token())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send()
    }

    pub(crate) fn post(&self, path: &str, body: &Json) -> Answer {
        self.request("POST", path).json(body).send()
    }

    /// Saves a workflow with these nodes.
    #[track_caller]
    pub(crate) fn save(&self, id: &str, nodes: Json) {
        let workflow = json!({"id": id, "nodes": nodes});
        self.post("/api/v1/workflows", &workflow).expect(201);
    }

    /// Starts an execution of a workflow; gives its id.
    #[track_caller]
    pub(crate) fn execute(&self, workflow: &str, inputs: Json) -> String {
        let path = format!("/api/v1/workflows/{workflow}/execute");
        let accepted = self.post(&path, &json!({"inputs": inputs})).expect(202).json();
        accepted["id"].as_str().unwrap().to_owned()
    }

    /// A token of a role.
    pub(crate) fn token_of(&self, role: &str) -> String {
        let asked = json!({"name": format!("a {role}"), "role": role});
        let token = self.post("/api/v1/tokens", &asked).expect(201).json();
        token["token"].as_str().unwrap().to_owned()
    }

    /// The executions of a workflow.
    pub(crate) fn executions_of(&self, workflow: &str) -> Vec<Json> {
        let path = format!("/api/v1/executions?workflow={workflow}&limit=500");
        self.get(&path).expect(200).json()["items"].as_array().unwrap().clone()
    }

    /// Follows an execution to its end; gives how it stands then.
    pub(crate) fn end_of(&self, id: &str) -> Json {
        let events = self.request("GET", &format!("/api/v1/executions/{id}/events")).listen();
        assert_eq!(events.last().unwrap().name, "WorkflowCompleted");
        self.get(&format!("/api/v1/executions/{id}")).expect(200).json()
    }

    /// Follows an execution until an event of this kind.
    pub(crate) fn until(&self, id: &str, name: &str) {
        let mut events = self.request("GET", &format!("/api/v1/executions/{id}/events")).listen();
        assert!(events.any(|event| event.name == name), "{id} ended before {name}");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.kill();
        }
    }
}
