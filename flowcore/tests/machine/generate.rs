//! Random cases that shrink.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::{Effect, Join, OnError, RetryPolicy, Value};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

use crate::nodes::{ERROR, INPUTS, MANY, NEED, OUTPUTS};
use crate::script::{AttemptPlan, Case, Ends, Entry, Form, Leaves, Link, Node, Read, When};

/// Workflows of 2 to 40 nodes, mostly small ones: those find most and shrink best.
pub(crate) fn cases() -> impl Strategy<Value = Case> {
    let size = prop_oneof![12 => 2..=6_usize, 5 => 7..=14_usize, 1 => 15..=40_usize];
    size.prop_flat_map(|size| {
        let nodes = vec((any::<u16>(), node()), size);
        let links = vec(link(size), 0..=size * 2);
        let outputs = weighted(0.5, vec(read(size), 0..=3));
        (nodes, links, outputs, world())
    })
    .prop_map(|(nodes, links, outputs, world)| tidy(nodes, links, outputs, world))
}

/// What belongs to no node.
#[derive(Debug, Clone)]
struct World {
    on_error: OnError,
    max_parallel: Option<u32>,
    deadline_ms: Option<i64>,
    flags: [Value; 4],
    cancels: Vec<i64>,
    pauses: Vec<i64>,
    permit_every: i64,
    ranks: [u8; 6],
    seed: u64,
}

fn world() -> impl Strategy<Value = World> {
    let flag = prop_oneof![
        4 => Just(Value::from(true)),
        1 => Just(Value::from(false)),
        1 => Just(Value::Null),
        1 => Just(Value::from("text")),
    ];
    let first = (on_error(), weighted(0.4, 1..=4_u32), weighted(0.15, 1..60_i64));
    let second = (
        prop::array::uniform4(flag),
        vec(0..30_000_i64, 0..=3).prop_map(|cancels| cancels[..cancels.len() / 2].to_vec()),
        pauses(),
        prop_oneof![4 => Just(1_i64), 1 => Just(3_000), 1 => Just(7_000)],
        prop::array::uniform6(any::<u8>()),
        any::<u64>(),
    );
    (first, second).prop_map(|(first, (flags, mut cancels, pauses, permit_every, ranks, seed))| {
        cancels.sort_unstable();
        let (on_error, max_parallel, deadline_ms) = first;
        World {
            on_error,
            max_parallel,
            deadline_ms,
            flags,
            cancels,
            pauses,
            permit_every,
            ranks,
            seed,
        }
    })
}

/// Most cases have none; some last no time.
fn pauses() -> impl Strategy<Value = Vec<i64>> {
    let pause = (0..25_000_i64, prop_oneof![1 => Just(0_i64), 3 => 0..12_000_i64]);
    vec(pause, 0..=4).prop_map(|pauses| {
        let mut now = 0;
        let few = &pauses[..pauses.len() / 2];
        let moments = few.iter().flat_map(|(after, length)| [*after, *length]);
        moments
            .map(|after| {
                now += after;
                now
            })
            .collect()
    })
}

fn on_error() -> impl Strategy<Value = OnError> {
    prop_oneof![
        2 => Just(OnError::ContinueOnError),
        1 => Just(OnError::StopWorkflow),
        1 => (1..=3_u32).prop_map(|max_attempts| OnError::RetryWorkflow { max_attempts }),
    ]
}

fn link(size: usize) -> impl Strategy<Value = Link> {
    let leaves = prop_oneof![
        3 => Just(Leaves::Anywhere),
        6 => (0..OUTPUTS.len()).prop_map(Leaves::Port),
        1 => Just(Leaves::Error),
    ];
    (0..size, leaves, 0..size, weighted(0.7, 0..INPUTS.len()))
        .prop_map(|(from, leaves, to, into)| Link { from, leaves, to, into })
}

fn read(size: usize) -> impl Strategy<Value = Read> {
    let form = prop_oneof![
        4 => Just(Form::Plain),
        2 => Just(Form::Deep),
        4 => Just(Form::Default),
        1 => Just(Form::Broken),
    ];
    (0..size, 0..=ERROR, form).prop_map(|(node, port, form)| Read { node, port, form })
}

/// The nodes that expressions read are made to fit later.
const ANY: usize = 1_000;

fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        2 => Just(Entry::Constant),
        3 => read(ANY).prop_map(Entry::Read),
        1 => (0..NEED).prop_map(Entry::Own),
    ]
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        4 => (0..4_usize).prop_map(When::Flag),
        2 => read(ANY).prop_map(When::Read),
        3 => (0..ANY, 0..OUTPUTS.len()).prop_map(|(node, port)| When::Defined(node, port)),
        2 => (0..ANY, 0..OUTPUTS.len()).prop_map(|(node, port)| When::Undefined(node, port)),
        2 => (0..NEED).prop_map(When::OwnDefined),
        1 => Just(When::FirstAttempt),
        1 => Just(When::NotBoolean),
    ]
}

fn retry() -> impl Strategy<Value = RetryPolicy> {
    (
        1..=4_u32,
        0..=6_u64,
        prop_oneof![Just(1.0), Just(2.0)],
        0..=10_u64,
        any::<bool>(),
        any::<bool>(),
        weighted(0.3, 1..=40_u64),
    )
        .prop_map(
            |(max_attempts, delay_ms, factor, max_delay_ms, timeout, jitter, elapsed)| {
                RetryPolicy {
                    max_attempts,
                    delay_ms,
                    backoff_multiplier: factor,
                    max_delay_ms,
                    retry_on_timeout: timeout,
                    jitter,
                    max_elapsed_ms: elapsed,
                }
            },
        )
}

fn plan() -> impl Strategy<Value = AttemptPlan> {
    let ends = prop_oneof![
        12 => Just(Ends::Well),
        1 => Just(Ends::Badly),
        3 => Just(Ends::BadlyForNow),
        1 => Just(Ends::TooLate),
        1 => Just(Ends::InPanic),
    ];
    let duration = prop_oneof![6 => (0..=20_i64).prop_map(|ms| ms * 1000), 1 => 0..20_000_i64];
    let stops_after = weighted(0.7, prop_oneof![Just(0), Just(1_000), Just(5_000)]);
    let live = (weighted(0.15, Just(())), weighted(0.4, Just(())), weighted(0.4, Just(())));
    (
        (ends, duration, live, any::<bool>()),
        (weighted(0.1, 0..10_u64), prop_oneof![Just(0.0), Just(0.5), Just(1.0)]),
        (stops_after, prop::bool::weighted(0.3)),
    )
        .prop_map(|((ends, duration, dead, writes), wait, stop)| AttemptPlan {
            ends,
            duration,
            live: [dead.0.is_none(), dead.1.is_none(), dead.2.is_none()],
            writes,
            retry_after_ms: wait.0,
            jitter: wait.1,
            stops_after: stop.0,
            fails_when_told: stop.1,
        })
}

fn node() -> impl Strategy<Value = Node> {
    let effect = prop_oneof![
        2 => Just(Effect::Idempotent),
        1 => Just(Effect::Pure),
        1 => Just(Effect::Read),
        1 => Just(Effect::Once),
    ];
    let join = prop_oneof![3 => Just(Join::All), 2 => Just(Join::Any), 2 => Just(Join::First)];
    let port = (0..INPUTS.len(), entry());
    (
        (prop::bool::weighted(0.3), prop::bool::weighted(0.1), effect, join),
        (weighted(0.25, when()), weighted(0.3, on_error()), weighted(0.4, retry())),
        (weighted(0.15, 1..=15_u64), vec(entry(), 0..=3), vec(port, 0..=2), vec(plan(), 1..=3)),
    )
        .prop_map(|((inline, needs, effect, join), (when, on_error, retry), rest)| {
            let (timeout_ms, mut config, ports, plans) = rest;
            // Most nodes read nothing, so that not everything hangs together.
            config.truncate(config.len() / 2);
            let ports: BTreeMap<_, _> = ports[..ports.len() / 2].iter().copied().collect();
            Node {
                inline,
                needs,
                effect,
                join,
                when,
                on_error,
                retry,
                timeout_ms,
                config,
                ports,
                plans,
            }
        })
}

/// Makes the parts fit together: every connection and expression goes from a node of lower to one of
/// higher rank, so there is no cycle, and the order in the file is another one.
fn tidy(
    ranked: Vec<(u16, Node)>,
    links: Vec<Link>,
    outputs: Option<Vec<Read>>,
    world: World,
) -> Case {
    let place: Vec<_> = (0..).zip(&ranked).map(|(index, (rank, _))| (*rank, index)).collect();
    let mut nodes: Vec<Node> = ranked.into_iter().map(|(_, node)| node).collect();
    let is_before = |from: usize, to: usize| place[from] < place[to];
    let size = nodes.len();
    for (index, node) in nodes.iter_mut().enumerate() {
        let fit = |entry: Entry| match entry {
            Entry::Read(read) => {
                let read = Read { node: read.node % size, ..read };
                is_before(read.node, index).then_some(Entry::Read(read))
            }
            Entry::Constant | Entry::Own(_) => Some(entry),
        };
        node.config = node.config.iter().filter_map(|entry| fit(*entry)).collect();
        let inputs = node.input_count();
        let ports = std::mem::take(&mut node.ports).into_iter();
        node.ports = ports
            .filter(|(port, entry)| *port < inputs && !matches!(entry, Entry::Own(_)))
            .filter_map(|(port, entry)| Some((port, fit(entry)?)))
            .collect();
        node.when = node.when.and_then(|when| match when {
            When::Read(read) => match fit(Entry::Read(read)) {
                Some(Entry::Read(read)) => Some(When::Read(read)),
                _ => None,
            },
            When::Defined(from, port) => {
                is_before(from % size, index).then_some(When::Defined(from % size, port))
            }
            When::Undefined(from, port) => {
                is_before(from % size, index).then_some(When::Undefined(from % size, port))
            }
            When::Flag(_) | When::OwnDefined(_) | When::FirstAttempt | When::NotBoolean => {
                Some(when)
            }
        });
    }
    let mut taken = BTreeSet::new();
    let mut tidied = Vec::new();
    for link in links.into_iter().filter(|link| link.from != link.to) {
        let (from, to) = match is_before(link.from, link.to) {
            true => (link.from, link.to),
            false => (link.to, link.from),
        };
        let into = link.into.filter(|_| link.leaves != Leaves::Anywhere);
        let into = into.map(|port| port % nodes[to].input_count()).map(|port| {
            let is_free = taken.insert((to, port)) || nodes[to].join != Join::All;
            if is_free { port } else { MANY }
        });
        tidied.push(Link { from, to, into, ..link });
    }
    for (index, node) in nodes.iter_mut().enumerate().filter(|(_, node)| node.needs) {
        if !tidied.iter().any(|link| link.to == index && link.into == Some(NEED)) {
            node.ports.entry(NEED).or_insert(Entry::Constant);
        }
    }
    let World {
        on_error,
        max_parallel,
        deadline_ms,
        flags,
        cancels,
        pauses,
        permit_every,
        ranks,
        seed,
    } = world;
    Case {
        nodes,
        links: tidied,
        outputs,
        on_error,
        max_parallel,
        deadline: deadline_ms.map(|ms| ms * 1000),
        flags,
        cancels,
        pauses,
        permit_every,
        ranks,
        seed,
        is_driven: false,
    }
}
