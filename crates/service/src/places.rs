//! A bounded number of places, so that memory is bounded, too.

use crate::lock::lock;
use crate::refusal::{Outcome, Refusal};
use crate::tokens::ClientName;
use blindsight_protocol::Code;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bounded number of places, of which one client may hold so many.
pub struct Places {
    common: Arc<Semaphore>,
    /// For clients that hold no place.
    reserve: Arc<Semaphore>,
    capacity: usize,
    held: Arc<Mutex<HashMap<ClientName, usize>>>,
    per_client: usize,
    what: &'static str,
}

/// A place: held from before a body is read until its answer is there, so that it bounds memory, too.
pub struct Place {
    held: Arc<Mutex<HashMap<ClientName, usize>>>,
    client: ClientName,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// So many, and a reserve; `what` says in refusals what they are for.
    pub fn new(common: usize, reserve: usize, per_client: usize, what: &'static str) -> Self {
        Self {
            common: Arc::new(Semaphore::new(common)),
            reserve: Arc::new(Semaphore::new(reserve)),
            capacity: common + reserve,
            held: Arc::default(),
            per_client,
            what,
        }
    }

    /// A place, if there is one for this client now.
    pub fn enter(&self, client: &ClientName) -> Outcome<Place> {
        let what = self.what;
        let busy = |why: String| Refusal::for_now(Code::Busy, &format!("{why}: try again after a moment"));
        let mut held = lock(&self.held);
        let mine = held.get(client).copied().unwrap_or(0);
        if mine >= self.per_client {
            return Err(busy(format!("this client has as many {what} under way as one may")));
        }
        let mut permit = self.common.clone().try_acquire_owned();
        if permit.is_err() && mine == 0 {
            permit = self.reserve.clone().try_acquire_owned();
        }
        let permit =
            permit.map_err(|_| busy(format!("there are as many {what} under way as there may be")))?;
        *held.entry(client.clone()).or_default() += 1;
        Ok(Place { held: self.held.clone(), client: client.clone(), _permit: permit })
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.capacity - self.common.available_permits() - self.reserve.available_permits()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        if let Some(mine) = held.get_mut(&self.client) {
            *mine -= 1;
            if *mine == 0 {
                held.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ClientName {
        name.parse().expect("a name")
    }

    #[test]
    fn clients_without_a_place_find_one_when_others_have_taken_all() {
        let places = Places::new(3, 1, 3, "places");
        let held: Vec<Place> = (0..3).map(|_| places.enter(&name("alice")).expect("a place")).collect();
        assert_eq!(places.enter(&name("alice")).err().map(|refused| refused.code), Some(Code::Busy));
        let bob = places.enter(&name("bob")).expect("the reserve");
        assert!(places.enter(&name("bob")).is_err() && places.enter(&name("carol")).is_err());
        assert_eq!(places.taken(), 4);
        drop((bob, held));
        assert_eq!(places.taken(), 0);
    }
}
