//! Who sends many wrong tokens has to wait.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many wrong tokens an address may send in [`WINDOW`].
const MOST: u32 = 20;

const WINDOW: Duration = Duration::from_secs(10);

/// How many addresses are remembered; when there are more, those whose time is over go.
const MOST_ADDRESSES: usize = 10_000;

/// Counts the wrong tokens of each address. Right ones are never held up.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    wrong: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Instant,
    count: u32,
}

impl Throttle {
    /// A wrong token came from this address: how long it has to wait before the next one is looked
    /// at, if it has to.
    pub(crate) fn wrong(&self, address: IpAddr) -> Option<Duration> {
        let now = Instant::now();
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= MOST_ADDRESSES {
            wrong.retain(|_, window| now - window.since < WINDOW);
        }
        if wrong.len() >= MOST_ADDRESSES && !wrong.contains_key(&address) {
            return Some(WINDOW);
        }
        let window = wrong.entry(address).or_insert(Window { since: now, count: 0 });
        if now - window.since >= WINDOW {
            *window = Window { since: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        (window.count > MOST).then(|| WINDOW.saturating_sub(now - window.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_waits_after_many_and_others_do_not() {
        let throttle = Throttle::default();
        let (bad, good) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        for _ in 0..MOST {
            assert_eq!(throttle.wrong(bad), None);
        }
        assert!(throttle.wrong(bad).is_some_and(|wait| wait <= WINDOW));
        assert_eq!(throttle.wrong(good), None);
        tokio::time::advance(WINDOW).await;
        assert_eq!(throttle.wrong(bad), None);
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_addresses_are_remembered() {
        let throttle = Throttle::default();
        for number in 0..u32::try_from(MOST_ADDRESSES).unwrap() {
            assert_eq!(throttle.wrong(std::net::Ipv4Addr::from(number).into()), None);
        }
        let one_more = [255, 255, 255, 255].into();
        assert!(throttle.wrong(one_more).is_some());
        tokio::time::advance(WINDOW).await;
        assert_eq!(throttle.wrong(one_more), None);
        assert_eq!(throttle.wrong.lock().unwrap().len(), 1);
    }
}
