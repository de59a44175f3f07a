//! How long to wait before the next attempt.

use std::time::Duration;

use crate::workflow::RetryPolicy;

impl RetryPolicy {
    /// The wait after this attempt (from 1) failed. `jitter` is a random number from 0 to 1; with
    /// full jitter it scales the whole wait.
    pub fn delay_after(&self, attempt: u32, jitter: f64) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.delay_ms as f64 * self.backoff_multiplier.powi(exponent);
        let bounded = between_zero_and(self.max_delay_ms as f64, grown);
        let factor = if self.jitter { between_zero_and(1.0, jitter) } else { 1.0 };
        Duration::from_secs_f64(bounded * factor / 1000.0)
    }
}

/// What is not a number is zero: no wait at all grows to 0 × ∞.
fn between_zero_and(most: f64, number: f64) -> f64 {
    if number.is_nan() { 0.0 } else { number.clamp(0.0, most) }
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
        let none = RetryPolicy { delay_ms: 0, ..policy.clone() };
        assert_eq!(none.delay_after(4_000_000_000, 1.0), Duration::ZERO);
        let odd = RetryPolicy { backoff_multiplier: f64::NAN, jitter: true, ..policy.clone() };
        assert_eq!(odd.delay_after(2, f64::NAN), Duration::ZERO);
        let long = RetryPolicy { delay_ms: u64::MAX, max_delay_ms: u64::MAX, ..policy.clone() };
        assert!(long.delay_after(2, 1.0) > Duration::from_secs(1 << 53));
        let jittered = RetryPolicy { jitter: true, ..policy };
        assert_eq!(jittered.delay_after(2, 0.5).as_millis(), 150);
        assert_eq!(jittered.delay_after(2, 0.0).as_millis(), 0);
    }
}
