//! Counts what is open, in all and per client address, and refuses what is over.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One client address may hold one in this many of a listener's connections, so that one client
/// alone cannot shut the others out.
const CLIENT_SHARE: usize = 4;

/// Who counts as one client: an IPv4 address, or an IPv6 network of 64 bits, for whoever has one address of
/// such a network has them all.
pub(crate) fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// Lets at most so many in.
pub(crate) struct Gate {
    max: usize,
    max_per_client: usize,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    total: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// Why the gate stayed shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// Too many in all.
    Total,
    /// Too many of this client.
    Client,
}

/// A place inside; dropping it frees the place.
pub(crate) struct Pass {
    gate: Arc<Gate>,
    client: IpAddr,
}

impl Gate {
    /// A gate for `max`, at least one of them per client.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, max_per_client: (max / CLIENT_SHARE).max(1), inside: Mutex::default() })
    }

    /// Takes a place.
    pub(crate) fn enter(self: &Arc<Self>, client: IpAddr) -> Result<Pass, Full> {
        let client = client_of(client);
        let mut inside = self.inside();
        if inside.total >= self.max {
            return Err(Full::Total);
        }
        let of_client = inside.by_client.entry(client).or_default();
        if *of_client >= self.max_per_client {
            return Err(Full::Client);
        }
        *of_client += 1;
        inside.total += 1;
        Ok(Pass { gate: Arc::clone(self), client })
    }

    // Every change of the counts is complete before a panic could poison them.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.gate.inside();
        inside.total -= 1;
        if let Some(count) = inside.by_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                inside.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn one_client_gets_a_quarter() {
        let gate = Gate::new(8);
        let first = gate.enter(address(1)).unwrap();
        let _second = gate.enter(address(1)).unwrap();
        assert_eq!(gate.enter(address(1)).err(), Some(Full::Client));
        // The same address written as IPv4-mapped IPv6 is the same client.
        assert_eq!(gate.enter("::ffff:192.0.2.1".parse().unwrap()).err(), Some(Full::Client));
        drop(first);
        assert!(gate.enter(address(1)).is_ok());
        // So is every address of an IPv6 network.
        let v6 = |text: &str| gate.enter(text.parse().unwrap());
        let _two = [v6("2001:db8:0:1::1").unwrap(), v6("2001:db8:0:1:f::2").unwrap()];
        assert_eq!(v6("2001:db8:0:1::3").err(), Some(Full::Client));
        assert!(v6("2001:db8:0:2::1").is_ok());
    }

    #[test]
    fn all_clients_together_get_no_more_than_the_limit() {
        let gate = Gate::new(4);
        let mut inside: Vec<Pass> = (1..=4).map(|n| gate.enter(address(n)).unwrap()).collect();
        assert_eq!(gate.enter(address(5)).err(), Some(Full::Total));
        inside.pop();
        assert!(gate.enter(address(5)).is_ok());
    }

    #[test]
    fn clients_that_left_are_forgotten() {
        let gate = Gate::new(4);
        drop(gate.enter(address(1)).unwrap());
        assert!(gate.inside().by_client.is_empty());
    }
}
