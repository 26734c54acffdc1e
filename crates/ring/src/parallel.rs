//! Independent work over limbs, spread over threads only where the caller asked for it.
//!
//! The rule: work is spread when it runs inside a rayon pool of more than one thread that the caller has installed.
//! Outside a pool, in a pool of one, and without the `parallel` feature, everything runs in order on this thread.

/// Calls `body` once for each item, in parallel inside a pool.
pub fn for_each<T: Send>(items: impl ExactSizeIterator<Item = T>, body: impl Fn(T) + Sync + Send) {
    #[cfg(feature = "parallel")]
    if threads() > 1 && items.len() > 1 {
        let body = &body;
        rayon::in_place_scope(|scope| items.for_each(|item| scope.spawn(move |_| body(item))));
        return;
    }
    items.for_each(body);
}

/// How many threads [`for_each`] may use here.
pub fn threads() -> usize {
    #[cfg(feature = "parallel")]
    if rayon::current_thread_index().is_some() {
        return rayon::current_num_threads();
    }
    1
}
