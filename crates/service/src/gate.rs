//! Which connections stay when there are too many.
//!
//! A new connection is always let in. Where its address has as many as one may, or all addresses together,
//! another one is closed for it: of the address that has the most, the one that has been without a request
//! for longest; one that never showed a token goes before one that has. A connection with a request under way
//! is never closed. So connections that say nothing, or say it slowly, displace each other and nobody else,
//! and clients that share an address with them lose their idle connections at most, which they open again.

use crate::lock::lock;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;
use tokio::sync::Notify;

/// The connections that are open.
pub struct Gate {
    open: Mutex<Open>,
    all: usize,
    per_address: usize,
    proxies: Vec<IpAddr>,
}

#[derive(Default)]
struct Open {
    connections: HashMap<u64, Connection>,
    /// Requests under way for addresses behind proxies.
    guests: HashMap<IpAddr, usize>,
    next: u64,
}

struct Connection {
    address: IpAddr,
    /// When its last request ended, or it began.
    since: Instant,
    known: bool,
    requests: usize,
    close: Arc<Notify>,
}

/// An open connection; it is gone from the gate when this is dropped.
pub struct Ticket {
    gate: Arc<Gate>,
    id: u64,
    address: IpAddr,
    close: Arc<Notify>,
}

/// A request that a proxy passed on for an address.
pub struct Guest {
    gate: Arc<Gate>,
    address: IpAddr,
}

/// A request of a known client; while it is there the connection stays open.
pub struct Visit(Arc<Ticket>);

impl Gate {
    pub fn new(all: usize, per_address: usize, proxies: Vec<IpAddr>) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), all, per_address, proxies })
    }

    /// Lets a connection in, at the cost of another one where there are too many; none where all others have
    /// requests under way.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Arc<Ticket>> {
        let mut open = self.lock();
        let of_address = open.connections.values().filter(|c| c.address == address).count();
        if of_address >= self.per_address && !self.proxies.contains(&address) {
            open.displace(address)?;
        } else if open.connections.len() >= self.all {
            let crowded = open.most_crowded()?;
            open.displace(crowded)?;
        }
        let (id, close) = (open.next, Arc::new(Notify::new()));
        open.next += 1;
        let since = Instant::now();
        let connection = Connection { address, since, known: false, requests: 0, close: close.clone() };
        open.connections.insert(id, connection);
        Some(Arc::new(Ticket { gate: self.clone(), id, address, close }))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        lock(&self.open)
    }
}

impl Open {
    /// Closes the connection of an address that is least missed.
    fn displace(&mut self, address: IpAddr) -> Option<()> {
        let idle = self.connections.iter().filter(|(_, c)| c.address == address && c.requests == 0);
        let id = *idle.min_by_key(|(_, c)| (c.known, c.since))?.0;
        // It no longer counts, though it takes a moment to go.
        self.connections.remove(&id).map(|connection| connection.close.notify_one())
    }

    /// The address with the most connections that could be closed.
    fn most_crowded(&self) -> Option<IpAddr> {
        let mut idle: HashMap<IpAddr, usize> = HashMap::new();
        let of_none = self.connections.values().filter(|c| c.requests == 0);
        of_none.for_each(|c| *idle.entry(c.address).or_default() += 1);
        idle.into_iter().max_by_key(|(_, count)| *count).map(|(address, _)| address)
    }
}

impl Ticket {
    /// Ready when the connection is to be closed for another one.
    pub async fn displaced(&self) {
        self.close.notified().await;
    }

    /// Whether a proxy is at its other end.
    pub fn is_proxy(&self) -> bool {
        self.gate.proxies.contains(&self.address)
    }

    /// A request that a proxy passes on for an address begins; none where that has as many as it could have
    /// connections.
    pub fn guest(&self, address: IpAddr) -> Option<Guest> {
        let mut open = self.gate.lock();
        let requests = open.guests.entry(address).or_default();
        (*requests < self.gate.per_address).then(|| {
            *requests += 1;
            Guest { gate: self.gate.clone(), address }
        })
    }

    /// A request with a valid token begins.
    pub fn visit(self: &Arc<Self>) -> Visit {
        if let Some(connection) = self.gate.lock().connections.get_mut(&self.id) {
            connection.known = true;
            connection.requests += 1;
        }
        Visit(self.clone())
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(connection) = self.0.gate.lock().connections.get_mut(&self.0.id) {
            connection.requests -= 1;
            connection.since = Instant::now();
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut open = self.gate.lock();
        if let Some(requests) = open.guests.get_mut(&self.address) {
            *requests -= 1;
            if *requests == 0 {
                open.guests.remove(&self.address);
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.gate.lock().connections.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    fn is_displaced(ticket: &Ticket) -> bool {
        pin!(ticket.displaced()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_crowd_displaces_itself() {
        let gate = Gate::new(4, 3, vec![]);
        let honest = gate.enter(address(1)).expect("room");
        let crowd: Vec<_> = (0..10).map(|_| gate.enter(address(2)).expect("room is made")).collect();
        let displaced: Vec<bool> = crowd.iter().map(|ticket| is_displaced(ticket)).collect();
        assert_eq!(displaced, [[true; 7].as_slice(), &[false; 3]].concat());
        assert!(!is_displaced(&honest));
        // All places are taken: a third address gets one of the crowd's.
        gate.enter(address(3)).expect("room is made");
        assert!(is_displaced(&crowd[7]) && !is_displaced(&honest));
    }

    #[test]
    fn requests_under_way_stay_and_clients_with_a_token_go_last() {
        let gate = Gate::new(8, 3, vec![]);
        let [client, running, idle] = [(); 3].map(|()| gate.enter(address(1)).expect("room"));
        let visit = running.visit();
        drop(client.visit());
        gate.enter(address(1)).expect("room is made");
        assert!(is_displaced(&idle) && !is_displaced(&client) && !is_displaced(&running));
        let visits: Vec<Visit> =
            (0..2).map(|_| gate.enter(address(1)).expect("room is made").visit()).collect();
        assert!(is_displaced(&client));
        assert!(gate.enter(address(1)).is_none(), "all have requests under way");
        drop((visit, visits));
        assert!(gate.enter(address(1)).is_some());
    }

    #[test]
    fn a_proxy_carries_many() {
        let gate = Gate::new(8, 2, vec![address(9)]);
        let through: Vec<_> = (0..8).map(|_| gate.enter(address(9)).expect("room")).collect();
        assert!(!through.iter().any(|ticket| is_displaced(ticket)));
        let guests: Vec<Guest> = (0..2).map(|_| through[0].guest(address(1)).expect("room")).collect();
        assert!(through[1].guest(address(1)).is_none() && through[1].guest(address(2)).is_some());
        drop(guests);
        assert!(through[1].guest(address(1)).is_some());
    }
}
