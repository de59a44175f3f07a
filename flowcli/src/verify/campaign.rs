//! Every crash of a workflow, on as many threads as there are processors.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use super::cast::Script;
use super::crash::{Case, Judged, Undisturbed};
use super::finding::Way;
use super::judge::{self, Given};
use super::ledger::Ledger;
use super::site::Left;
use super::{Finding, Recording, Site, codes};
use crate::error::CliError;

/// More threads would not help: each holds a runtime and a store.
const MOST_THREADS: usize = 16;

/// The crashes that are to be tried.
pub(crate) struct Campaign<'a> {
    site: &'a Site,
    recording: Arc<Recording>,
    given: Given,
    script: Script,
    expected: Option<flowruntime::History>,
    /// How many writes there are, each of which may be the last.
    pub(crate) writes: usize,
    /// Those at which it crashes.
    points: Vec<usize>,
    /// What is wrong without any crash.
    findings: Vec<Finding>,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) done: usize,
    pub(crate) all: usize,
    pub(crate) findings: usize,
}

/// What came of all.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) findings: Vec<Finding>,
    /// How many crashes there were.
    pub(crate) crashes: usize,
    /// At how many writes.
    pub(crate) points: usize,
    /// How many writes there are.
    pub(crate) writes: usize,
    /// In how many crashes a node was cut off that may not be started again.
    pub(crate) unknown: BTreeMap<String, usize>,
    /// How many attempts answered from the recording.
    pub(crate) answered: usize,
    /// How many attempts of `pure` nodes ran again.
    pub(crate) ran: usize,
    /// Whether it was stopped.
    pub(crate) is_stopped: bool,
}

impl<'a> Campaign<'a> {
    /// Goes through the recorded run once more without a crash, which is what every crash is compared
    /// with, and chooses where to crash: at every write, or spread evenly if there are more crashes
    /// than `most`.
    pub(crate) fn new(
        site: &'a Site,
        recording: Arc<Recording>,
        ledger: &Ledger,
        most: usize,
    ) -> Result<Self, CliError> {
        let given = judge::given(&ledger.starts());
        let script = Script::Recorded { recording: recording.clone(), again: None };
        let mut campaign = Self {
            site,
            recording,
            given,
            script,
            expected: None,
            writes: 0,
            points: Vec::new(),
            findings: Vec::new(),
        };
        campaign.go_through(most)?;
        Ok(campaign)
    }

    fn go_through(&mut self, most: usize) -> Result<(), CliError> {
        let recording = &self.recording;
        let (expected, starts, writes) =
            match Case::undisturbed(self.site, recording, &self.script)? {
                Ok(Undisturbed { history, starts, writes }) => (history, starts, writes),
                Err(left) => {
                    self.findings.push(not_repeated(&left));
                    return Ok(());
                }
            };
        let run = Recording::new(expected.clone());
        self.findings = judge::liars(recording, &self.given, &run, &starts);
        if self.findings.is_empty() {
            self.findings.extend(judge::repeated(recording, &expected));
        }
        let is_repeatable =
            self.findings.iter().all(|finding| finding.code != codes::NOT_REPEATABLE);
        if is_repeatable {
            let step = (writes * Way::ALL.len()).div_ceil(most.max(1)).max(1);
            self.points = (1..=writes).step_by(step).collect();
            self.expected = Some(expected);
        }
        self.writes = writes;
        Ok(())
    }

    /// The same crashes somewhere else.
    #[cfg(test)]
    pub(crate) fn at<'b>(self, site: &'b Site) -> Campaign<'b> {
        Campaign { site, ..self }
    }

    /// How many crashes there will be.
    pub(crate) fn crashes(&self) -> usize {
        self.points.len() * Way::ALL.len()
    }

    /// Crashes everywhere; `watch` hears how far it is on this thread, and says whether to go on.
    pub(crate) fn run(&self, mut watch: impl FnMut(Progress) -> bool) -> Result<Verdict, CliError> {
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let all = self.crashes();
        let mut verdict = Verdict {
            findings: self.findings.clone(),
            points: self.points.len(),
            writes: self.writes,
            ..Verdict::default()
        };
        let Some(expected) = &self.expected else { return Ok(verdict) };
        let case = Case {
            site: self.site,
            recording: &self.recording,
            script: &self.script,
            given: &self.given,
            expected,
        };
        let (sender, results) = mpsc::channel();
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(point) = self.points.get(index / Way::ALL.len()) else { return };
                let way = Way::ALL[index % Way::ALL.len()];
                if sender.send((index, case.crash(*point, way))).is_err() {
                    return;
                }
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let judged = thread::scope(|scope| {
            (0..threads).for_each(|_| drop(scope.spawn(work)));
            let mut judged: Vec<(usize, Judged)> = Vec::with_capacity(all);
            let mut findings = 0;
            while judged.len() < all {
                let Ok((index, result)) = results.recv() else { break };
                match result {
                    Ok(one) => {
                        findings += one.findings.len();
                        judged.push((index, one));
                    }
                    Err(error) => {
                        stop.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                }
                if !watch(Progress { done: judged.len(), all, findings }) {
                    stop.store(true, Ordering::Relaxed);
                    verdict.is_stopped = true;
                    break;
                }
            }
            Ok(judged)
        });
        let mut judged = judged?;
        // In the order of the crashes, whichever thread was first.
        judged.sort_by_key(|(index, _)| *index);
        judged.into_iter().for_each(|(_, one)| verdict.add(one));
        Ok(verdict)
    }
}

impl Verdict {
    fn add(&mut self, judged: Judged) {
        self.crashes += 1;
        self.answered += judged.answered;
        self.ran += judged.ran;
        for node in judged.unknown {
            *self.unknown.entry(node).or_default() += 1;
        }
        for finding in judged.findings {
            match self.findings.iter_mut().find(|known| known.is_same(&finding)) {
                Some(known) => {
                    known.crashes += 1;
                    known.crash = known.crash.take().or(finding.crash);
                }
                None => self.findings.push(finding),
            }
        }
    }
}

fn not_repeated(left: &Left) -> Finding {
    let message = match left {
        Left::TookTooLong => "gone through again, the recorded run takes more than a minute",
        Left::Stuck => "gone through again, the recorded run does not end",
        Left::Ended | Left::Died | Left::GivenUp(_) => {
            "the recorded run cannot be gone through again"
        }
    };
    let hint = "a `pure` node that never ends, or waits for something, is not `pure`";
    Finding::new(codes::NOT_REPEATABLE, message, hint)
}
