//! How many requests a token may make.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many tokens are remembered before those that have been quiet go.
const MOST_QUIET: usize = 1024;

/// So many requests a second, and twice as many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    per_second: u32,
}

/// The text is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rate is a number of requests a second, such as `100/s`, from 1 to 1000000")]
pub(crate) struct NoRate;

impl FromStr for Rate {
    type Err = NoRate;

    fn from_str(text: &str) -> Result<Self, NoRate> {
        let number = text.strip_suffix("/s").unwrap_or(text);
        let per_second = number.parse().map_err(|_| NoRate)?;
        if !(1..=1_000_000).contains(&per_second) {
            return Err(NoRate);
        }
        Ok(Self { per_second })
    }
}

impl Rate {
    /// The time that one request stands for.
    fn each(self) -> Duration {
        Duration::from_secs(1) / self.per_second
    }

    /// How far ahead of its time a request may come.
    fn burst(self) -> Duration {
        self.each() * (self.per_second * 2 - 1)
    }
}

/// How far each token is: the generic cell rate algorithm, which needs one moment for each.
#[derive(Debug)]
pub(crate) struct Rates {
    rate: Option<Rate>,
    /// When a request of this token would be in time that came as the last of even ones.
    due: Mutex<HashMap<String, Instant>>,
}

impl Rates {
    /// With `None` every token may do whatever it wants.
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self { rate, due: Mutex::default() }
    }

    /// A request of a token comes: how long it has to wait until it is looked at, if it has to. One that
    /// has to wait does not count.
    pub(crate) fn comes(&self, token: &str) -> Option<Duration> {
        let rate = self.rate?;
        let now = Instant::now();
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if due.len() >= MOST_QUIET {
            due.retain(|_, at| *at > now);
        }
        let at = due.get(token).copied().unwrap_or(now).max(now);
        let ahead = (at - now).saturating_sub(rate.burst());
        if !ahead.is_zero() {
            return Some(ahead);
        }
        // No token has to be written down twice.
        match due.get_mut(token) {
            Some(kept) => *kept = at + rate.each(),
            None => drop(due.insert(token.to_owned(), at + rate.each())),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(rates: &Rates, token: &str, asked: usize) -> usize {
        (0..asked).filter(|_| rates.comes(token).is_none()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn s24_a_token_has_a_rate_and_a_burst_of_its_own() {
        let rates = Rates::new(Some("100/s".parse().unwrap()));
        assert_eq!(passed(&rates, "a", 1000), 200);
        assert_eq!(passed(&rates, "b", 150), 150);
        assert!(rates.comes("a").is_some_and(|wait| wait <= Duration::from_millis(10)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(passed(&rates, "a", 1000), 100);
        // However long it was quiet.
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(passed(&rates, "a", 1000), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn s24_those_that_were_quiet_are_forgotten() {
        let rates = Rates::new(Some("1/s".parse().unwrap()));
        for token in 0..MOST_QUIET {
            assert_eq!(rates.comes(&token.to_string()), None);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(rates.comes("one more"), None);
        assert_eq!(rates.due.lock().unwrap().len(), 1);
    }

    #[test]
    fn rates_are_read() {
        assert_eq!("100/s".parse(), Ok(Rate { per_second: 100 }));
        assert_eq!("7".parse(), Ok(Rate { per_second: 7 }));
        for text in ["", "0", "-1", "1/m", "1.5/s", "/s", "1000001"] {
            assert_eq!(text.parse::<Rate>(), Err(NoRate), "{text}");
        }
    }
}
