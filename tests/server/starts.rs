//! Starting: with nothing configured, closed, and with a clear word when something is wrong.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;

use crate::site::{Site, command};

/// What a server that does not start says, and its exit code.
fn refused(command: &mut Command) -> (String, Option<i32>) {
    let output = command.output().unwrap();
    (String::from_utf8(output.stderr).unwrap(), output.status.code())
}

#[test]
fn s01_a_fresh_server_listens_at_loopback_only() {
    let site = Site::new();
    assert!(site.address().ip().is_loopback());
    let pid = site.pid();
    // All sockets of the machine that listen, as the system lists them, and those of the process.
    let inodes: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|fd| {
            let link = std::fs::read_link(fd.unwrap().path()).ok()?;
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let tables =
        ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/{pid}/net/{table}")));
    let listening: Vec<String> = tables
        .into_iter()
        .flatten()
        .flat_map(|table| table.lines().skip(1).map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields[3] == "0A" && inodes.iter().any(|inode| inode == fields[9])
        })
        .map(|line| line.split_whitespace().nth(1).unwrap().to_owned())
        .collect();
    let port = format!("{:04X}", site.address().port());
    assert_eq!(listening, [format!("0100007F:{port}")]);
}

#[test]
fn the_first_start_makes_a_token_that_only_its_owner_reads() {
    let mut site = Site::new();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&site.data()), 0o700);
    for file in ["token", "flow.db.key"] {
        assert_eq!(mode(&site.data().join(file)), 0o600, "{file}");
    }
    let log = site.log();
    assert!(log.contains("curl -H \"Authorization: Bearer $(cat "), "{log}");
    let token = site.token();
    assert!(!log.contains(&token));
    site.get("/api/v1/executions").expect(200);
    // The next start takes the same one.
    site.kill();
    site.start(&[]);
    assert_eq!(site.token(), token);
    site.get("/api/v1/executions").expect(200);
    let tokens = site.get("/api/v1/tokens").expect(200).json();
    assert_eq!(tokens["items"].as_array().unwrap().len(), 1);
}

#[test]
fn s06_a_token_is_nowhere_but_in_its_file() {
    let mut site = Site::new();
    let tokens = [site.token(), site.token_of("viewer")];
    site.get("/api/v1/audit").expect(200);
    site.signal("TERM");
    let (_, log) = site.wait();
    for token in tokens {
        assert!(!log.contains(&token[4..]));
        for file in std::fs::read_dir(site.data()).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let holds =
                bytes.windows(token.len() - 4).any(|window| window == &token.as_bytes()[4..]);
            assert!(!holds || path.ends_with("token"), "{}", path.display());
        }
    }
}

#[test]
fn a_token_file_that_others_read_is_refused() {
    let mut site = Site::new();
    site.kill();
    let file = site.data().join("token");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let (text, code) = refused(&mut command(&site.data()));
    assert!(text.contains("may be read by others") && code == Some(78), "{text}");
}

#[test]
fn s02_beyond_loopback_is_refused_without_a_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let (text, code) = refused(command(&folder.path().join("data")).args(["--bind", "0.0.0.0:0"]));
    assert!(text.contains("--behind-proxy") && code == Some(78), "{text}");
    assert!(!folder.path().join("data").exists());
}

#[test]
fn f22_a_second_server_on_the_same_file_is_refused_and_the_first_goes_on() {
    let site = Site::new();
    let (text, code) = refused(&mut command(&site.data()));
    assert_eq!(code, Some(75), "{text}");
    assert!(text.contains(&site.pid().to_string()), "{text}");
    site.get("/readyz").expect(200);
}

#[test]
fn an_address_that_is_taken_is_said() {
    let site = Site::new();
    let folder = tempfile::tempdir().unwrap();
    let address = site.address().to_string();
    let (text, code) = refused(command(folder.path()).args(["--bind", &address]));
    assert!(text.contains(&address) && code == Some(75), "{text}");
}

#[test]
fn a_configuration_is_checked_without_serving() {
    let folder = tempfile::tempdir().unwrap();
    let (text, code) = refused(command(folder.path()).arg("--check-config"));
    assert!(text.contains("the configuration is good") && code == Some(0), "{text}");
    let bad = ["--store", "mysql://host/db", "--check-config"];
    let (text, code) = refused(command(folder.path()).args(bad));
    assert!(text.contains("mysql://") && code == Some(78), "{text}");
}

#[test]
fn options_of_a_file_are_read_and_it_is_said_where_each_comes_from() {
    let site = Site::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flow.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("shutdown_timeout = 7\nkeep_days = 90\nallow_host = [\"a\", \"b\"]\n");
    let check = |arguments: &[&str]| {
        let mut command = command(&site.data());
        command.env("FLOW_CONFIG", &file).env("FLOW_KEEP_DAYS", "30");
        refused(command.arg("--check-config").args(arguments))
    };
    // Beside a server that runs.
    let (text, code) = check(&["--allow-host", "c"]);
    let (data, file) = (site.data(), file.display().to_string());
    let expected = [
        format!("data_dir = {:?}  # --data-dir", data.display().to_string()),
        "allow_host = [\"c\"]  # --allow-host".to_owned(),
        format!("shutdown_timeout = 7  # {file}, line 1"),
        "keep_days = 30  # FLOW_KEEP_DAYS".to_owned(),
        "the configuration is good".to_owned(),
    ];
    assert_eq!(
        (text.lines().collect::<Vec<_>>(), code),
        (expected.iter().map(|line| &**line).collect(), Some(0))
    );

    write("bind = \"[::1]:80\"\nkeep_day = 1\n");
    let (text, code) = check(&[]);
    let message = format!(
        "error: {file}, line 2: there is no option `keep_day`; did you mean `keep_days`?\n"
    );
    assert_eq!((text, code), (message, Some(78)));
    write("store = \"postgres://flow:canary@127.0.0.1:1/flow\"\n");
    let (text, code) = check(&[]);
    assert!(text.contains("store = \"postgres://flow:•••@127.0.0.1:1/flow\""), "{text}");
    assert!(code != Some(0) && !text.contains("canary"), "{text}");
}

#[test]
fn s45_a_fresh_server_has_no_workflows() {
    let site = Site::new();
    let listed = site.get("/api/v1/workflows").expect(200).json();
    assert_eq!(listed, json!({"items": [], "next_cursor": null}));
}
