//! How long things took, counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many durations there were up to each of some bounds.
///
/// Counting takes two atomic additions, and nobody waits for anybody.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// Those up to each bound and above the one before; the last are above all.
    counts: Box<[AtomicU64]>,
    micros: AtomicU64,
}

/// What a [`Histogram`] has counted, as of about one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Durations {
    /// For each bound, in seconds, how many there were up to it and above the one before. The last
    /// bound is infinite.
    pub counts: Vec<(f64, u64)>,
    /// All of them together, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// A histogram with these bounds, in seconds, each larger than the one before.
    pub fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, micros: AtomicU64::new(0) }
    }

    /// Counts a duration.
    pub fn count(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let slot = self.bounds.partition_point(|bound| *bound < seconds);
        self.counts[slot].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn durations(&self) -> Durations {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let micros = Duration::from_micros(self.micros.load(Ordering::Relaxed));
        Durations { counts: bounds.zip(counts).collect(), sum: micros.as_secs_f64() }
    }
}

impl Durations {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_under_the_first_bound_that_it_does_not_exceed() {
        let histogram = Histogram::new(&[0.1, 1.0]);
        for millis in [0, 100, 101, 1000, 1001, 60_000] {
            histogram.count(Duration::from_millis(millis));
        }
        let durations = histogram.durations();
        assert_eq!(durations.counts, [(0.1, 2), (1.0, 2), (f64::INFINITY, 2)]);
        assert_eq!((durations.count(), durations.sum), (6, 62.202));
    }
}
