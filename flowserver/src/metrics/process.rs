//! The process, under the names that Prometheus's own clients use. Linux only: elsewhere there is
//! nothing.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::encode::Encode;

#[derive(Debug)]
pub(super) struct OfProcess;

/// What the kernel counts time in, for programs: the same on all that Linux runs on today.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Debug, Default, PartialEq)]
struct Process {
    cpu_seconds: Option<f64>,
    started_at: Option<f64>,
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
}

impl Process {
    fn now() -> Self {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{name}")).ok();
        let (stat, system) = (read("self/stat"), read("stat"));
        let status = read("self/status").unwrap_or_default();
        let ticks = stat.as_deref().and_then(read_stat);
        let booted_at = system.and_then(|text| field(&text, "btime ")?.parse::<f64>().ok());
        // The folder itself is open while it is read.
        let open_fds = std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        let limits = read("self/limits").unwrap_or_default();
        let max_fds = field(&limits, "Max open files")
            .and_then(|line| line.split_whitespace().next()?.parse().ok());
        Self {
            cpu_seconds: ticks.map(|(cpu, _)| cpu / TICKS_PER_SECOND),
            started_at: ticks
                .zip(booted_at)
                .map(|((_, start), boot)| boot + start / TICKS_PER_SECOND),
            resident_bytes: read_kib(&status, "VmRSS:"),
            virtual_bytes: read_kib(&status, "VmSize:"),
            open_fds: open_fds.map(|count| count.saturating_sub(1) as u64),
            max_fds,
        }
    }
}

/// What follows a word at the beginning of a line.
fn field<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(word)).map(str::trim)
}

fn read_kib(status: &str, word: &str) -> Option<u64> {
    let kib: u64 = field(status, word)?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// How long it has computed, in user mode and in the kernel, and when after the boot it began; in ticks.
fn read_stat(stat: &str) -> Option<(f64, f64)> {
    // The name in brackets, the second field, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    Some((number(14)? + number(15)?, number(22)?))
}

impl Collector for OfProcess {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let now = Process::now();
        if let Some(seconds) = now.cpu_seconds {
            let help = "How long the process has computed, in seconds";
            let kind = MetricType::Counter;
            let mut metric = encoder.encode_descriptor("process_cpu_seconds", help, None, kind)?;
            metric.encode_counter::<NoLabelSet, _, f64>(&seconds, None)?;
        }
        if let Some(seconds) = now.started_at {
            let help = "When the process started, in seconds since 1970";
            let (name, kind) = ("process_start_time_seconds", MetricType::Gauge);
            encoder.encode_descriptor(name, help, None, kind)?.encode_gauge(&seconds)?;
        }
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Memory that is in use", now.resident_bytes),
            ("process_virtual_memory_bytes", "Addresses that are in use", now.virtual_bytes),
            ("process_open_fds", "Files and connections that are open", now.open_fds),
            ("process_max_fds", "How many of them may be open", now.max_fds),
        ] {
            if let Some(value) = value {
                encoder.gauge(name, help, value)?;
            }
        }
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_process_may_hold_anything() {
        let stat = "1 (a) b (c)) S 1 1 1 0 -1 0 0 0 0 0 250 150 0 0 20 0 9 0 12345 0 0";
        assert_eq!(read_stat(stat), Some((400.0, 12_345.0)));
        assert_eq!(read_stat("1 (a) S 1"), None);
    }

    #[test]
    fn this_process_is_read() {
        let now = Process::now();
        assert!(now.resident_bytes.unwrap() > 1024 * 1024);
        assert!(now.virtual_bytes > now.resident_bytes);
        assert!(now.open_fds.unwrap() > 2 && now.max_fds >= now.open_fds);
        // After 2020, and not a second after now.
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let since_1970 = since_1970.unwrap().as_secs_f64();
        assert!((1.6e9..=since_1970 + 1.0).contains(&now.started_at.unwrap()));
        assert!(now.cpu_seconds.unwrap() < 1e6);
    }
}
