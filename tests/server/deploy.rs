//! The files of `deploy/` say what the server and its pages say.

use std::path::Path;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The number after the first such text.
#[track_caller]
fn number_after(text: &str, before: &str) -> u64 {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// The most that a stop takes with the usual options: requests, then schedules, then attempts.
const LONGEST_STOP: u64 = 30 + 30 + 10;

#[test]
fn a_stop_is_given_the_time_that_it_may_take() {
    let usual = number_after(&read("flowserver.toml"), "#shutdown_timeout = ");
    assert_eq!(2 * usual + 10, LONGEST_STOP);
    assert!(number_after(&read("systemd/flowserver.service"), "TimeoutStopSec=") > LONGEST_STOP);
    assert!(number_after(&read("docker/compose.yaml"), "stop_grace_period: ") > LONGEST_STOP);
    let manifest = read("kubernetes/flowserver.yaml");
    let pause = number_after(&manifest, "command: [sleep, \"");
    let grace = number_after(&manifest, "terminationGracePeriodSeconds: ");
    assert!(pause > 0 && grace > pause + LONGEST_STOP);
}

#[test]
fn s55_the_unit_takes_away_what_the_server_does_not_need() {
    let unit = read("systemd/flowserver.service");
    for line in [
        "DynamicUser=yes",
        "StateDirectory=flow",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "CapabilityBoundingSet=",
        "MemoryDenyWriteExecute=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "LimitCORE=0",
        "KillSignal=SIGTERM",
        "Restart=always",
        "RestartPreventExitStatus=2 78",
    ] {
        assert!(unit.lines().any(|other| other == line), "{line}");
    }
    for limit in ["MemoryMax=", "TasksMax="] {
        assert!(number_after(&unit, limit) > 0, "{limit}");
    }
}

#[test]
fn containers_run_as_nobody_special_and_have_no_password_of_their_own() {
    let dockerfile = read("docker/Dockerfile");
    assert!(dockerfile.contains("\nUSER 10001:10001\n") && dockerfile.contains("\nHEALTHCHECK "));
    assert!(dockerfile.contains("\nRUN deploy/docker/build.sh /out\n"));
    let steps = dockerfile.lines().filter(|line| !line.starts_with('#'));
    let steps: String = steps.map(|line| format!("{line}\n")).collect();
    assert!(!steps.contains("FLOW_BEHIND_PROXY"), "it is for the operator to say");
    let compose = read("docker/compose.yaml");
    assert!(compose.contains("POSTGRES_PASSWORD: ${FLOW_DATABASE_PASSWORD:?"), "{compose}");
    let manifest = read("kubernetes/flowserver.yaml");
    for line in ["runAsNonRoot: true", "readOnlyRootFilesystem: true", "secretKeyRef: "] {
        assert!(manifest.contains(line), "{line}");
    }
}
