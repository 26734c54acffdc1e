//! Independent work, spread over threads only where the caller asked for it.
//!
//! The rule: work is spread when it runs inside a rayon pool of more than one thread that the caller has installed.
//! Outside a pool, in a pool of one, and without the `parallel` feature, everything runs in order on this thread.

/// Calls `body` once for each item, in parallel inside a pool: each thread takes the next item when it is done with its last one, so
/// items are begun in order. Nested calls share out what idle threads there are.
pub fn for_each<T: Send>(mut items: impl ExactSizeIterator<Item = T> + Send, body: impl Fn(T) + Sync + Send) {
    #[cfg(feature = "parallel")]
    if threads() > 1 && items.len() > 1 {
        let threads = threads().min(items.len());
        let items = std::sync::Mutex::new(&mut items);
        // The guard is gone before the body runs.
        let next = || items.lock().expect("taking an item does not panic").next();
        let work = || {
            while let Some(item) = next() {
                body(item);
            }
        };
        rayon::in_place_scope(|scope| {
            (1..threads).for_each(|_| scope.spawn(|_| work()));
            work();
        });
        return;
    }
    items.for_each(body);
}

/// What `body` gives for each item, in order, computed as by [`for_each`].
pub fn map<T: Send, U: Send>(
    items: impl ExactSizeIterator<Item = T> + Send,
    body: impl Fn(T) -> U + Sync + Send,
) -> Vec<U> {
    let mut results: Vec<Option<U>> = std::iter::repeat_with(|| None).take(items.len()).collect();
    for_each(results.iter_mut().zip(items), |(result, item)| *result = Some(body(item)));
    results.into_iter().map(|result| result.expect("every item was taken")).collect()
}

/// How many threads [`for_each`] may use here.
pub fn threads() -> usize {
    #[cfg(feature = "parallel")]
    if rayon::current_thread_index().is_some() {
        return rayon::current_num_threads();
    }
    1
}
