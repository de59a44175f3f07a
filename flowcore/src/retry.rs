//! How long to wait before the next attempt.

use std::time::Duration;

use crate::workflow::RetryPolicy;

impl RetryPolicy {
    /// The wait after this attempt (from 1) failed. `jitter` is a random number from 0 to 1; with
    /// full jitter it scales the whole wait.
    pub fn delay_after(&self, attempt: u32, jitter: f64) -> Duration {
        // Zero times a growth beyond all numbers is not a number.
        if self.delay_ms == 0 {
            return Duration::ZERO;
        }
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.delay_ms as f64 * self.backoff_multiplier.powi(exponent);
        let bounded = grown.clamp(0.0, self.max_delay_ms as f64);
        let millis = if self.jitter { bounded * jitter.clamp(0.0, 1.0) } else { bounded };
        Duration::from_secs_f64(millis / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_limit() {
        let policy = RetryPolicy {
            delay_ms: 100,
            backoff_multiplier: 3.0,
            max_delay_ms: 1_000,
            jitter: false,
            ..RetryPolicy::default()
        };
        let waits =
            [1, 2, 3, 4, 4_000_000_000].map(|attempt| policy.delay_after(attempt, 0.5).as_millis());
        assert_eq!(waits, [100, 300, 900, 1_000, 1_000]);
        let at_once = RetryPolicy { delay_ms: 0, ..policy.clone() };
        assert_eq!(at_once.delay_after(4_000_000_000, 0.5), Duration::ZERO);
        let jittered = RetryPolicy { jitter: true, ..policy };
        assert_eq!(jittered.delay_after(2, 0.5).as_millis(), 150);
        assert_eq!(jittered.delay_after(2, 0.0).as_millis(), 0);
    }
}
