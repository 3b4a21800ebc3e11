//! Who has how many connections, and how many requests being answered: counted by address, so that one machine cannot take
//! everybody else's places.
//!
//! A connection that waits for its peer (silent, in the middle of a head or a body, or idle after an answer) keeps its place
//! only while nobody else wants it: where none is left, the one that has waited longest is closed for the newcomer. So a peer
//! that opens connections and stays silent locks nobody out, not even on the same machine. Only connections whose requests
//! are being answered are never closed for others.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::limits::HttpLimits;
use super::refusals::RefusalReason;
use super::stream::RequestProgress;

/// The places of connections.
#[derive(Debug)]
pub(super) struct Places {
    limits: HttpLimits,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// In the order in which they came.
    by_address: HashMap<IpAddr, Vec<Held>>,
    /// Held by other machines, in total.
    others: usize,
    next: u64,
}

/// A connection that has a place.
#[derive(Debug)]
struct Held {
    number: u64,
    progress: Arc<RequestProgress>,
    displaced: CancellationToken,
}

/// A connection's place; given back on drop.
#[derive(Debug)]
pub(super) struct ConnectionPlace {
    places: Arc<Places>,
    address: IpAddr,
    number: u64,
    /// Cancelled when somebody else needs it.
    pub(super) displaced: CancellationToken,
}

impl Places {
    pub(super) fn new(limits: HttpLimits) -> Arc<Self> {
        Arc::new(Self { limits, taken: Mutex::default() })
    }

    /// Takes a place for a connection from there; the one that has waited longest makes room for it.
    ///
    /// # Errors
    /// Why there is no place: all others are being answered.
    pub(super) fn take(
        self: &Arc<Self>,
        ip: IpAddr,
        progress: &Arc<RequestProgress>,
    ) -> Result<ConnectionPlace, RefusalReason> {
        let address = counted_as(ip);
        let mut taken = self.taken.lock();
        if taken.of(address) >= self.limits.most_of_one_address && !taken.displace(address) {
            return Err(RefusalReason::TooManyOfOneAddress);
        }
        if !address.is_loopback() && taken.others >= self.limits.most_connections {
            // From the address that has the most: one with few keeps them.
            let mut addresses: Vec<IpAddr> = taken.by_address.keys().copied().filter(|ip| !ip.is_loopback()).collect();
            addresses.sort_by_key(|address| std::cmp::Reverse(taken.of(*address)));
            if !addresses.into_iter().any(|address| taken.displace(address)) {
                return Err(RefusalReason::TooManyConnections);
            }
        }
        taken.others += usize::from(!address.is_loopback());
        let number = taken.next;
        taken.next += 1;
        let displaced = CancellationToken::new();
        let held = Held { number, progress: Arc::clone(progress), displaced: displaced.clone() };
        taken.by_address.entry(address).or_default().push(held);
        Ok(ConnectionPlace { places: Arc::clone(self), address, number, displaced })
    }
}

impl Taken {
    fn of(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).map_or(0, Vec::len)
    }

    /// Takes the place of the connection from that address that has waited longest. True if there was one.
    fn displace(&mut self, address: IpAddr) -> bool {
        let held = self.by_address.get(&address).map_or(&[][..], Vec::as_slice);
        let waiting = held.iter().filter_map(|held| Some((held.progress.waits_since()?, held.number)));
        let Some((_, number)) = waiting.min() else { return false };
        if let Some(held) = self.remove(address, number) {
            held.displaced.cancel();
        }
        true
    }

    fn remove(&mut self, address: IpAddr, number: u64) -> Option<Held> {
        let held = self.by_address.get_mut(&address)?;
        let at = held.iter().position(|held| held.number == number)?;
        let removed = held.remove(at);
        if held.is_empty() {
            self.by_address.remove(&address);
        }
        self.others -= usize::from(!address.is_loopback());
        Some(removed)
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        // It is no longer there if its place was taken away.
        drop(self.places.taken.lock().remove(self.address, self.number));
    }
}

/// The places of requests that are being answered.
#[derive(Debug)]
pub(super) struct RequestPlaces {
    most: usize,
    most_of_one_address: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A request's place; given back on drop.
#[derive(Debug)]
pub(super) struct RequestPlace {
    places: Arc<RequestPlaces>,
    address: IpAddr,
}

impl RequestPlaces {
    pub(super) fn new(most: usize, most_of_one_address: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_one_address, taken: Mutex::default() })
    }

    /// Takes a place for a request from there, if there is one.
    pub(super) fn take(self: &Arc<Self>, ip: IpAddr) -> Option<RequestPlace> {
        let address = counted_as(ip);
        let mut taken = self.taken.lock();
        let of_address = taken.get(&address).copied().unwrap_or(0);
        if of_address >= self.most_of_one_address || taken.values().sum::<usize>() >= self.most {
            return None;
        }
        taken.insert(address, of_address + 1);
        Some(RequestPlace { places: Arc::clone(self), address })
    }
}

impl Drop for RequestPlace {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

/// All of loopback counts as one, and so does an IPv6 /64: a peer with one of its addresses has them all.
fn counted_as(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        ip if ip.is_loopback() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::{MOST_CONNECTIONS, MOST_OF_ONE_ADDRESS, MOST_REQUESTS, MOST_REQUESTS_OF_ONE_ADDRESS};
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The progress of a connection whose request is being answered.
    fn answering() -> Arc<RequestProgress> {
        let progress = Arc::new(RequestProgress::default());
        progress.answers();
        progress
    }

    #[test]
    fn one_address_cannot_take_the_places_of_others_and_others_not_those_of_this_machine() {
        let places = Places::new(HttpLimits::default());
        let take = |text: &str| places.take(ip(text), &answering());
        let first: Vec<ConnectionPlace> = (0..MOST_OF_ONE_ADDRESS).map(|_| take("10.0.0.1").unwrap()).collect();
        assert_eq!(take("10.0.0.1").unwrap_err(), RefusalReason::TooManyOfOneAddress);
        let network: Vec<ConnectionPlace> =
            (0..MOST_OF_ONE_ADDRESS).map(|host| take(&format!("2001:db8::{host:x}")).unwrap()).collect();
        assert_eq!(take("2001:db8::ffff:1").unwrap_err(), RefusalReason::TooManyOfOneAddress);
        let rest: Vec<ConnectionPlace> = (0..MOST_CONNECTIONS - first.len() - network.len())
            .map(|host| take(&format!("10.0.1.{host}")).unwrap())
            .collect();
        assert_eq!(take("10.0.2.1").unwrap_err(), RefusalReason::TooManyConnections);
        let own: Vec<ConnectionPlace> =
            (0..MOST_OF_ONE_ADDRESS).map(|host| take(&format!("127.0.0.{}", host + 1)).unwrap()).collect();
        assert_eq!(take("::1").unwrap_err(), RefusalReason::TooManyOfOneAddress);
        drop(own);
        drop(first);
        assert!(take("10.0.2.1").is_ok());
        drop((network, rest));
        let left = places.taken.lock();
        assert!(left.by_address.is_empty() && left.others == 0, "{left:?}");
    }

    #[test]
    fn who_waits_makes_room_the_longest_first_and_whoever_has_most() {
        let places = Places::new(HttpLimits::default());
        let waiting = Arc::new(RequestProgress::default());
        let take = |text: &str| places.take(ip(text), &waiting);
        let greedy: Vec<ConnectionPlace> = (0..MOST_OF_ONE_ADDRESS).map(|_| take("10.0.0.1").unwrap()).collect();
        let more = take("10.0.0.1").unwrap();
        assert!(greedy[0].displaced.is_cancelled() && !greedy[1].displaced.is_cancelled());
        let others: Vec<ConnectionPlace> =
            (greedy.len()..MOST_CONNECTIONS).map(|host| take(&format!("10.0.1.{host}")).unwrap()).collect();
        let newcomer = take("10.0.2.1").unwrap();
        assert!(greedy[1].displaced.is_cancelled(), "the address with the most has to give one");
        assert!(others.iter().chain([&more, &newcomer]).all(|place| !place.displaced.is_cancelled()));
        drop((greedy, more, others, newcomer));
        let left = places.taken.lock();
        assert!(left.by_address.is_empty() && left.others == 0, "{left:?}");
    }

    #[test]
    fn one_address_has_some_of_the_requests_that_are_answered() {
        let places = RequestPlaces::new(MOST_REQUESTS, MOST_REQUESTS_OF_ONE_ADDRESS);
        let greedy: Vec<RequestPlace> =
            (0..MOST_REQUESTS_OF_ONE_ADDRESS).map(|_| places.take(ip("10.0.0.1")).unwrap()).collect();
        assert!(places.take(ip("::ffff:10.0.0.1")).is_none());
        let others = MOST_REQUESTS - greedy.len();
        let others: Vec<RequestPlace> =
            (0..others).map(|host| places.take(ip(&format!("10.0.1.{host}"))).unwrap()).collect();
        assert!(places.take(ip("10.0.2.1")).is_none());
        drop(greedy);
        assert!(places.take(ip("10.0.2.1")).is_some());
        drop(others);
        assert!(places.taken.lock().is_empty());
    }
}
