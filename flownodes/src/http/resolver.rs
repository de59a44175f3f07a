//! Names lead to public addresses only, for requests that may go to the public Internet and nowhere
//! else.

use std::error::Error;
use std::net::SocketAddr;

use flowcore::{NodeError, Reach};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves names, and refuses those that lead to an address that is not public. A client connects to
/// the addresses that were looked at: the name is not asked for again.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublicOnly;

/// Where a name leads may not be reached.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Denied(NodeError);

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            check(name.as_str(), &found)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// One address that is not public is enough: which one a client takes is its choice.
fn check(name: &str, found: &[SocketAddr]) -> Result<(), Denied> {
    let mut checked = found.iter().map(|address| Reach::Public.check(name, address.ip()));
    checked.find_map(Result::err).map_or(Ok(()), |refusal| Err(Denied(refusal)))
}

/// The refusal that made a request fail, if one did.
pub(super) fn refusal(error: &(dyn Error + 'static)) -> Option<NodeError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(Denied(refusal)) = error.downcast_ref() {
            return Some(refusal.clone());
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_one_address_of_our_own_is_refused() {
        let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        assert!(check("x", &[address("1.1.1.1"), address("2600::1")]).is_ok());
        let mixed = [address("1.1.1.1"), address("127.0.0.1")];
        let denied = check("x", &mixed).unwrap_err();
        assert_eq!(refusal(&denied).unwrap().code(), "policy.host_denied");
    }
}
