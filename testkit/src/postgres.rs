//! A PostgreSQL server of one's own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::Identity;

const USER: &str = "flow";
const PASSWORD: &str = "s3cret-of-the-tests";

/// Another program may take the free port before the server does.
const TRIES: usize = 5;

/// The server stops when standard input ends: that is when its owner lets go of it, and when the
/// process of its owner ends, in whatever way. Its lines stop and start the server, and are answered
/// when it has stopped, or is being started. Only the first server writes what somebody reads.
const KEEPER: &str = r#"
exec 3<&0
"$@" < /dev/null > /dev/null 3<&- &
server=$!
exec 2> /dev/null
while read -r word <&3; do
    case $word in
        stop) kill -QUIT $server; wait $server ;;
        start) "$@" < /dev/null > /dev/null 3<&- & server=$! ;;
    esac
    echo "$word"
done
kill -QUIT $server
wait $server
rm -rf "$FLOW_TEST_FOLDER"
"#;

/// A running server. It stops, and its files go, when this is dropped or the process ends.
pub struct Postgres {
    port: u16,
    /// Its end stops the server.
    keep: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    keeper: Child,
    folder: TempDir,
}

/// The server that the tests of one binary share; `None` when PostgreSQL is not installed, after
/// [`crate::skipped`] said so.
///
/// # Panics
/// When it is installed and does not start.
pub fn postgres() -> Option<&'static Postgres> {
    static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
    let shared = SHARED.get_or_init(Postgres::start);
    if shared.is_none() {
        crate::skipped("postgresql");
    }
    shared.as_ref()
}

impl Postgres {
    /// Starts a server that nobody else uses; `None` when PostgreSQL is not installed.
    ///
    /// # Panics
    /// When it is installed and does not start.
    pub fn start() -> Option<Self> {
        Self::start_as(None, None)
    }

    /// As [`Postgres::start`]; its files are in this folder, and it flushes them, as one whose data
    /// is worth something. For measurements.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    pub fn start_flushing(folder: &Path) -> Option<Self> {
        Self::start_as(None, Some(folder))
    }

    /// As [`Postgres::start`]; it encrypts, and says that it is this.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    pub fn start_encrypted(identity: &Identity) -> Option<Self> {
        Self::start_as(Some(identity), None)
    }

    fn start_as(identity: Option<&Identity>, flushed: Option<&Path>) -> Option<Self> {
        let programs = programs()?;
        let started = (0..TRIES).find_map(|_| Self::try_start(&programs, identity, flushed));
        Some(started.expect("a PostgreSQL server starts on one of five ports"))
    }

    /// Its URL, with user and password; the database is empty at first.
    pub fn url(&self) -> String {
        self.url_with(USER, PASSWORD, "postgres")
    }

    /// A URL with another user, password or database.
    pub fn url_with(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The user of [`Postgres::url`].
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The password of [`Postgres::url`].
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn try_start(
        programs: &Path,
        identity: Option<&Identity>,
        flushed: Option<&Path>,
    ) -> Option<Self> {
        let parent = flushed.map_or_else(std::env::temp_dir, Path::to_owned);
        let folder = tempfile::Builder::new().prefix("flow-postgres-").tempdir_in(parent);
        let folder = folder.expect("a folder");
        let owner = Owner::of(folder.path());
        let data = folder.path().join("data");
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).expect("a file in a new folder");
        let mut initdb = Command::new(programs.join("initdb"));
        initdb.args(["--username", USER, "--auth", "scram-sha-256", "--encoding", "UTF8"]);
        initdb.args(["--no-locale", "--no-sync", "--pwfile"]).arg(&password).arg("--pgdata");
        let made = owner.run(initdb.arg(&data)).output().expect("initdb starts");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = unused_port();
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(programs.join("postgres")).arg("-D").arg(&data);
        keeper.args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""]);
        keeper.args(["-c", "lc_messages=C", "-c", "log_destination=stderr"]);
        if flushed.is_none() {
            // A crash of the machine loses nothing that a test would miss.
            keeper.args(["-c", "fsync=off"]);
        }
        if let Some(identity) = identity {
            owner.write(&data.join("server.crt"), &identity.certificate);
            owner.write(&data.join("server.key"), &identity.key);
            keeper.args(["-c", "ssl=on"]);
        }
        keeper.env("FLOW_TEST_FOLDER", folder.path());
        keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut keeper = owner.run(&mut keeper).spawn().expect("sh starts");
        let log = BufReader::new(keeper.stderr.take().expect("it is piped"));
        let answers = BufReader::new(keeper.stdout.take().expect("it is piped"));
        let keep = keeper.stdin.take();
        let server = Self { port, keep, answers, keeper, folder };
        let mut lines = log.lines().map_while(Result::ok);
        let ready = lines.any(|line| line.contains("ready to accept connections"));
        // A full pipe would stop the server.
        std::thread::spawn(move || lines.for_each(drop));
        ready.then_some(server)
    }

    /// Stops the server at once, as if it was killed; its files stay. All its connections end.
    ///
    /// # Panics
    /// When it cannot be told to.
    pub fn stop(&mut self) {
        self.tell("stop");
    }

    /// Starts the server again after [`Postgres::stop`], on the same port. It takes connections soon
    /// after this returns.
    ///
    /// # Panics
    /// When it cannot be told to.
    pub fn start_again(&mut self) {
        self.tell("start");
    }

    fn tell(&mut self, word: &str) {
        let keep = self.keep.as_mut().expect("it is there until the end");
        writeln!(keep, "{word}").expect("the keeper reads");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the keeper answers");
        assert_eq!(answer.trim_end(), word);
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.keep.take());
        let _ = self.keeper.wait();
    }
}

/// The folder with `initdb` and `postgres`.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = installed("/usr/lib/postgresql");
    folders.extend(std::env::split_paths(&path));
    let found = folders.into_iter().find_map(|folder| folder.join("initdb").canonicalize().ok())?;
    let folder = found.parent()?;
    folder.join("postgres").is_file().then(|| folder.to_owned())
}

/// The folders of Debian's packages, the newest version first.
fn installed(root: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let version = |name: &std::ffi::OsStr| name.to_str()?.parse::<u32>().ok();
    let mut versions: Vec<u32> = entries.filter_map(|entry| version(&entry.file_name())).collect();
    versions.sort_unstable();
    versions.iter().rev().map(|version| Path::new(root).join(format!("{version}/bin"))).collect()
}

/// A port of 127.0.0.1 on which nobody listens, unless somebody takes it meanwhile.
///
/// # Panics
/// When there is none.
pub fn unused_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Who the server runs as: PostgreSQL refuses root.
struct Owner(Option<(u32, u32)>);

impl Owner {
    /// Gives the folder to whom the server runs as.
    #[cfg(unix)]
    fn of(folder: &Path) -> Self {
        use std::os::unix::fs::{MetadataExt as _, chown};

        let is_root = std::fs::metadata(folder).expect("a new folder").uid() == 0;
        let other = is_root.then(|| user("postgres").or_else(|| user("nobody")));
        let other = other.map(|ids| ids.expect("there is a user `postgres` or `nobody`"));
        if let Some((uid, gid)) = other {
            chown(folder, Some(uid), Some(gid)).expect("root may give files away");
        }
        Self(other)
    }

    #[cfg(not(unix))]
    fn of(_folder: &Path) -> Self {
        Self(None)
    }

    /// Writes a file that only the server may read: it takes no other key.
    #[cfg(unix)]
    fn write(&self, path: &Path, text: &str) {
        use std::io::Write as _;
        use std::os::unix::fs::{OpenOptionsExt as _, chown};

        let options = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).clone();
        let mut file = options.open(path).expect("a new file");
        file.write_all(text.as_bytes()).expect("there is room");
        if let Some((uid, gid)) = self.0 {
            chown(path, Some(uid), Some(gid)).expect("root may give files away");
        }
    }

    #[cfg(not(unix))]
    fn write(&self, path: &Path, text: &str) {
        std::fs::write(path, text).expect("a new file");
    }

    #[cfg(unix)]
    fn run<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        use std::os::unix::process::CommandExt as _;

        if let Some((uid, gid)) = self.0 {
            // This drops the groups of root too.
            command.uid(uid).gid(gid);
        }
        command.current_dir("/")
    }

    #[cfg(not(unix))]
    fn run<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
    }
}

/// The ids of a user and its group.
#[cfg(unix)]
fn user(name: &str) -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_server_stops_with_its_owner_even_after_a_panic() {
        let Some(server) = Postgres::start() else { return crate::skipped("postgresql") };
        let (port, folder) = (server.port(), server.folder().to_owned());
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok() && folder.exists());
        let owner = std::thread::spawn(move || {
            let _server = server;
            panic!("a test that fails");
        });
        assert!(owner.join().is_err());
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err() && !folder.exists());
    }

    #[test]
    fn a_server_that_is_stopped_starts_again() {
        let Some(mut server) = Postgres::start() else { return crate::skipped("postgresql") };
        let connect = |port| TcpStream::connect(("127.0.0.1", port));
        server.stop();
        assert!(connect(server.port()).is_err() && server.folder().join("data").exists());
        server.start_again();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while connect(server.port()).is_err() {
            assert!(std::time::Instant::now() < deadline, "it does not start again");
            std::thread::yield_now();
        }
        let (port, folder) = (server.port(), server.folder().to_owned());
        drop(server);
        assert!(connect(port).is_err() && !folder.exists());
    }

    #[test]
    fn tests_of_one_binary_share_a_server() {
        let (Some(one), Some(other)) = (postgres(), postgres()) else { return };
        assert_eq!(one.port(), other.port());
        assert!(one.url().contains(one.user()) && one.url().contains(one.password()));
    }
}
