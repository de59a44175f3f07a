//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The places for connections.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    /// From one address beyond this machine; `None` is no limit.
    most_of_address: Option<usize>,
    taken: Mutex<Taken>,
    became_empty: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// All are taken.
    Full,
    /// Those of the address are.
    OfAddress,
}

/// The place of a connection, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    address: Option<IpAddr>,
}

impl Places {
    pub(crate) fn new(most: usize, most_of_address: Option<usize>) -> Arc<Self> {
        let (taken, became_empty) = (Mutex::default(), Notify::new());
        Arc::new(Self { most, most_of_address, taken, became_empty })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are taken.
    pub(crate) fn count(&self) -> usize {
        self.taken().all
    }

    /// A place for a connection from this address.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, NoPlace> {
        let address = network(address);
        // Whoever is on this machine can do worse than to connect.
        let limited = address.filter(|_| self.most_of_address.is_some());
        let mut taken = self.taken();
        if taken.all >= self.most {
            return Err(NoPlace::Full);
        }
        if let (Some(address), Some(most)) = (limited, self.most_of_address) {
            let of_address = taken.by_address.entry(address).or_default();
            if *of_address >= most {
                return Err(NoPlace::OfAddress);
            }
            *of_address += 1;
        }
        taken.all += 1;
        Ok(Place { places: self.clone(), address: limited })
    }

    /// Returns when no place is taken. Cancel safe.
    pub(super) async fn are_empty(&self) {
        loop {
            let empty = self.became_empty.notified();
            tokio::pin!(empty);
            // From here on it is noticed.
            empty.as_mut().enable();
            if self.taken().all == 0 {
                return;
            }
            empty.await;
        }
    }
}

/// What counts as one address: in IPv6, the network that is given to one customer. `None` is this
/// machine.
fn network(address: IpAddr) -> Option<IpAddr> {
    let address = address.to_canonical();
    if address.is_loopback() {
        return None;
    }
    Some(match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    })
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(address) = self.address
            && let Some(count) = taken.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&address);
            }
        }
        if taken.all == 0 {
            self.places.became_empty.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn s22_there_are_so_many_places_and_so_many_for_an_address_beyond_the_machine() {
        let places = Places::new(8, Some(2));
        let [one, two, local] = ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(address);
        let first = places.take(one).unwrap();
        let mut kept = vec![places.take(one).unwrap()];
        assert_eq!(places.take(one).unwrap_err(), NoPlace::OfAddress);
        // The same address, in the clothes of IPv6.
        let mapped = address("::ffff:192.0.2.1");
        assert_eq!(places.take(mapped).unwrap_err(), NoPlace::OfAddress);
        kept.push(places.take(two).unwrap());
        drop(first);
        kept.push(places.take(one).unwrap());
        // This machine has as many as there are.
        kept.extend((0..5).map(|_| places.take(local).unwrap()));
        assert_eq!((places.count(), places.take(local).unwrap_err()), (8, NoPlace::Full));
        drop(kept);
        places.are_empty().await;
        assert!(places.taken().by_address.is_empty());
    }

    #[test]
    fn s22_addresses_of_one_network_of_ipv6_are_one() {
        let places = Places::new(8, Some(1));
        let _kept = places.take(address("2001:db8:0:1::1")).unwrap();
        assert!(places.take(address("2001:db8:0:1:ffff::2")).is_err());
        assert!(places.take(address("2001:db8:0:2::1")).is_ok());
        assert!(places.take(address("::1")).is_ok());
    }
}
