//! F6: nobody is told that something is kept before it is flushed. What the real program asks of the
//! system says so, as `strace` notes it.

use std::fs;
use std::process::Command;

use super::support::{data, flowcli};

/// How many executions are traced.
const RUNS: usize = 50;

/// What the last write of an execution holds, in its log.
const END: &[u8] = b"WorkflowCompleted";

/// Something that the program asked of the system.
#[derive(Debug)]
struct Call {
    name: String,
    descriptor: u32,
    path: String,
    data: Vec<u8>,
    is_done: bool,
    /// The lines of the trace on which it began and ended.
    from: usize,
    until: usize,
}

impl Call {
    fn is_write_of_log(&self) -> bool {
        self.name.contains("write") && self.path.ends_with("-wal")
    }

    fn is_flush_of_log(&self) -> bool {
        self.name.ends_with("sync") && self.path.ends_with("-wal") && self.is_done
    }

    fn holds(&self, part: &[u8]) -> bool {
        self.data.windows(part.len()).any(|window| window == part)
    }
}

/// `\x41\x42` is `AB`.
fn unescape(text: &str) -> Vec<u8> {
    let digits = text.split("\\x").filter(|digits| !digits.is_empty());
    digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
}

/// Reads what `strace -f -y -xx` wrote.
fn read(trace: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut open: Vec<(&str, usize)> = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let (thread, rest) = line.split_once(' ').unwrap();
        let is_done = |rest: &str| rest.rsplit_once(" = ").is_some_and(|(_, it)| !it.contains('-'));
        if rest.trim_start().starts_with("<... ") {
            let at = open.iter().position(|(other, _)| *other == thread).unwrap();
            let call = &mut calls[open.swap_remove(at).1];
            (call.until, call.is_done) = (number, is_done(rest));
            continue;
        }
        // Others are signals, and the ends of threads.
        let Some((name, arguments)) = rest.trim_start().split_once('(') else { continue };
        let Some((descriptor, arguments)) = arguments.split_once('<') else { continue };
        let (path, arguments) = arguments.split_once('>').unwrap();
        let data = arguments.split('"').skip(1).step_by(2).flat_map(unescape).collect();
        if rest.ends_with("<unfinished ...>") {
            open.push((thread, calls.len()));
        }
        calls.push(Call {
            name: name.to_owned(),
            descriptor: descriptor.parse().unwrap(),
            path: String::from_utf8(unescape(path)).unwrap(),
            data,
            is_done: is_done(rest),
            from: number,
            until: number,
        });
    }
    calls
}

/// Whether there was a flush between the end of one call and the beginning of another.
fn is_flushed_between(calls: &[Call], write: &Call, told: &Call) -> bool {
    let mut flushes = calls.iter().filter(|call| call.is_flush_of_log());
    flushes.any(|flush| flush.from > write.until && flush.until < told.from)
}

/// What is wrong with a trace of one execution.
fn check(calls: &[Call]) -> Result<(), &'static str> {
    let writes = || calls.iter().filter(|call| call.is_write_of_log());
    let mut told = calls.iter().filter(|call| call.descriptor == 2);
    let accepted = told.find(|call| call.holds(b"execution 0")).ok_or("it is not accepted")?;
    let id = String::from_utf8(accepted.data.clone()).unwrap();
    let id = id.split_whitespace().find(|word| word.len() == 36).unwrap().replace('-', "");
    let id: Vec<u8> =
        (0..16).map(|at| u8::from_str_radix(&id[2 * at..][..2], 16).unwrap()).collect();
    let created = writes().find(|write| write.holds(&id)).ok_or("it is not written")?;
    if !is_flushed_between(calls, created, accepted) {
        return Err("it is accepted before it is flushed");
    }
    let ended = writes().find(|write| write.holds(END)).ok_or("its end is not written")?;
    let summary = told.find(|call| call.holds(b"2 nodes succeeded")).ok_or("nobody is told")?;
    let output = calls.iter().find(|call| call.descriptor == 1).ok_or("there is no output")?;
    for told in [summary, output] {
        let last = writes().rfind(|write| write.from < told.from).unwrap();
        if !is_flushed_between(calls, ended, told) || !is_flushed_between(calls, last, told) {
            return Err("its end is told before it is flushed");
        }
    }
    Ok(())
}

/// Runs an execution in a new store; `None` where nothing can be traced.
fn trace() -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::copy(data().join("hello.json"), folder.join("hello.json")).unwrap();
    let run = ["run", "hello.json", "--store", "sqlite://flow.db"];
    let plain = flowcli(folder, run);
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-xx", "-s", "70000", "-o", "trace"]);
    command.args(["-e", "trace=fsync,fdatasync,write,writev,pwrite64,pwritev"]);
    command.arg(plain.get_program()).args(plain.get_args()).current_dir(folder);
    for (name, _) in plain.get_envs() {
        command.env_remove(name);
    }
    let output = command.output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("ptrace") {
        return None;
    }
    assert!(output.status.success(), "{said}");
    Some(fs::read_to_string(folder.join("trace")).unwrap())
}

#[test]
fn nothing_is_told_before_it_is_flushed() {
    let mut last = None;
    for run in 0..RUNS {
        let Some(trace) = trace() else { return testkit::skipped("strace") };
        assert_eq!(check(&read(&trace)), Ok(()), "run {run}");
        last = Some(trace);
    }
    // The same trace, had the program not flushed, or too late.
    let trace = last.unwrap();
    let is_flush = |call: &&Call| call.is_flush_of_log();
    let unflushed = || read(&trace).into_iter().filter(|call| !is_flush(&call));
    let none: Vec<Call> = unflushed().collect();
    assert_eq!(check(&none), Err("it is accepted before it is flushed"));
    let calls = read(&trace);
    let flushes: Vec<&Call> = calls.iter().filter(is_flush).collect();
    let end = calls.iter().find(|call| call.is_write_of_log() && call.holds(END)).unwrap();
    let before_end = flushes.iter().rfind(|flush| flush.until < end.from).unwrap().from;
    let only_first: Vec<Call> =
        read(&trace).into_iter().filter(|c| !is_flush(&c) || c.from <= before_end).collect();
    assert_eq!(check(&only_first), Err("its end is told before it is flushed"));
    let mut late = read(&trace);
    for flush in late.iter_mut().filter(|call| call.is_flush_of_log()) {
        flush.until = usize::MAX;
    }
    assert_eq!(check(&late), Err("it is accepted before it is flushed"), "asked, not answered");
}

#[test]
fn a_flush_that_failed_or_is_not_over_is_none() {
    let path = r"\x61\x2d\x77\x61\x6c";
    let trace = format!(
        "1 pwrite64(7<{path}>, \"\\x41\"..., 4096, 0) = 4096\n\
         2 fdatasync(7<{path}> <unfinished ...>\n\
         1 --- SIGCHLD {{si_signo=SIGCHLD}} ---\n\
         1 write(2<\\x70>, \"\\x42\", 1) = 1\n\
         2 <... fdatasync resumed>) = 0\n\
         2 fdatasync(7<{path}>) = -1 EIO (Input/output error)\n\
         1 write(2<\\x70>, \"\\x43\", 1) = 1\n\
         1 +++ exited with 0 +++\n"
    );
    let calls = read(&trace);
    let [write, flush, early, failed, late] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((write.path.as_str(), &write.data[..]), ("a-wal", &b"A"[..]));
    assert_eq!((flush.from, flush.until, flush.is_flush_of_log()), (1, 4, true));
    assert!(!failed.is_flush_of_log());
    assert!(!is_flushed_between(&calls, write, early));
    assert!(is_flushed_between(&calls, write, late));
}
