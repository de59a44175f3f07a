//! Small disks, which are full soon: a file system in memory that only the process of a test sees.

use std::path::PathBuf;
use std::process::Command;

/// Where the process with a disk of its own finds it.
const FOLDER: &str = "FLOW_TEST_DISK";

/// Mounts the disk where nobody else sees it, and it goes with the process.
const MOUNT: &str = r#"mount -t tmpfs -o size="$FLOW_TEST_DISK_SIZE" tmpfs "$FLOW_TEST_DISK" || exit 77
exec "$@""#;

/// What [`MOUNT`] exits with where it may not.
const NOT_PERMITTED: i32 = 77;

/// Runs another test of this program, which has this whole name, in a process with a disk of this size,
/// such as `8m`; there [`small_disk`] says where that is, and temporary folders are on it. Where
/// mounting is not permitted, it says so on standard error.
///
/// # Panics
/// When the test fails; and with `FLOW_REQUIRE_SERVICES` in the environment, when there is no disk
/// although the process has what mounting needs.
pub fn on_small_disk(size: &str, test: &str) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let program = std::env::current_exe().expect("a program knows where it is");
    let run = |namespaces: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(namespaces).args(["sh", "-c", MOUNT, "sh"]).arg(&program);
        command.args(["--exact", test, "--nocapture"]);
        command.env(FOLDER, folder.path()).env("FLOW_TEST_DISK_SIZE", size);
        command.env("TMPDIR", folder.path()).output().ok()
    };
    // As root; else as one who is root in a namespace of its own, where the system lets everybody.
    for namespaces in [&["--mount"][..], &["--user", "--map-root-user", "--mount"]] {
        let Some(output) = run(namespaces) else { continue };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() == Some(NOT_PERMITTED) || said.contains("unshare: ") {
            continue;
        }
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && out.contains("1 passed"), "{out}{said}");
        return;
    }
    let is_required = std::env::var_os("FLOW_REQUIRE_SERVICES").is_some();
    assert!(!(is_required && may_mount()), "a small disk cannot be mounted");
    #[expect(clippy::print_stderr, reason = "that is how a test says so")]
    {
        eprintln!("skipped: mounting is not permitted");
    }
}

/// The small disk of this process, if it has one.
pub fn small_disk() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// Whether this process has what mounting needs: root of a container may not have it.
fn may_mount() -> bool {
    const SYS_ADMIN: u32 = 21;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> SYS_ADMIN & 1 == 1)
}
