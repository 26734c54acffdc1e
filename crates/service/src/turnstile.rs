//! A turnstile: so many are let through at once, and clients take turns.

use crate::lock::lock;
use crate::tokens::ClientName;
use crate::turns::Waitlist;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// Lets so many through at once, clients in turns as in the queue of one process: of those that wait, the one
/// that was served longest ago is next.
#[derive(Clone)]
pub struct Turnstile(Arc<Mutex<Passage>>);

struct Passage {
    waiting: Waitlist<oneshot::Sender<Pass>>,
    within: usize,
    most: usize,
}

/// Who has this is within; whoever drops it is through.
pub struct Pass(Turnstile);

impl Turnstile {
    /// For so many at once.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Passage { waiting: Waitlist::default(), within: 0, most })))
    }

    /// From now on so many at once.
    pub fn widen(&self, most: usize) {
        lock(&self.0).most = most;
        self.admit();
    }

    /// Waits for this client's turn. Whoever waits no longer gives it up.
    pub async fn enter(&self, client: &ClientName) -> Pass {
        let (turn, comes) = oneshot::channel();
        lock(&self.0).waiting.add(client, turn);
        self.admit();
        comes.await.expect("turns come as long as there is a turnstile")
    }

    /// How many are within, and how many wait.
    pub fn count(&self) -> (usize, usize) {
        let passage = lock(&self.0);
        (passage.within, passage.waiting.count())
    }

    fn admit(&self) {
        while let Some(turn) = self.next() {
            // Where nobody waits for it any more, the pass comes back at once, and makes room for the next.
            let _ = turn.send(Pass(self.clone()));
        }
    }

    fn next(&self) -> Option<oneshot::Sender<Pass>> {
        let mut passage = lock(&self.0);
        if passage.within >= passage.most {
            return None;
        }
        let first = passage.waiting.first().cloned()?;
        let turn = passage.waiting.take(&first)?;
        passage.within += 1;
        Some(turn)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        lock(&self.0.0).within -= 1;
        self.0.admit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ClientName {
        name.parse().expect("a name")
    }

    #[tokio::test]
    async fn a_turnstile_lets_clients_through_in_turns_and_forgets_who_has_gone() {
        let gate = Turnstile::new(1);
        let within = gate.enter(&name("busy")).await;
        let order: Arc<Mutex<Vec<&str>>> = Arc::default();
        let mut all = vec![];
        for who in ["alice", "alice", "alice", "bob", "gone", "carol"] {
            let (gate, order) = (gate.clone(), order.clone());
            all.push(tokio::spawn(async move {
                let _pass = gate.enter(&name(who)).await;
                lock(&order).push(who);
            }));
            tokio::task::yield_now().await;
        }
        all.remove(4).abort();
        assert_eq!(gate.count().0, 1);
        drop(within);
        for done in all {
            done.await.expect("through");
        }
        assert_eq!(*lock(&order), ["alice", "bob", "carol", "alice", "alice"]);
        assert_eq!(gate.count(), (0, 0));
        gate.widen(2);
        let both = (gate.enter(&name("alice")).await, gate.enter(&name("alice")).await);
        assert_eq!(gate.count(), (2, 0));
        drop(both);
    }
}
