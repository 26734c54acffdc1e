//! Independent work, spread over threads only where the caller asked for it.
//!
//! The rule: work is spread when it runs inside a rayon pool of more than one thread that the caller has
//! installed. Outside a pool, in a pool of one, and without the `parallel` feature, everything runs in order
//! on this thread.

use crate::Error;

/// Calls `body` once for each item, in parallel inside a pool: each thread takes the next item when it is
/// done with its last one, so items are begun in order. Nested calls share out what idle threads there are.
pub fn for_each<T: Send>(items: impl ExactSizeIterator<Item = T> + Send, body: impl Fn(T) + Sync + Send) {
    #[cfg(feature = "parallel")]
    if threads() > 1 && items.len() > 1 {
        let threads = threads().min(items.len());
        let items = std::sync::Mutex::new(items);
        // The guard is gone before the body runs.
        let next = || items.lock().expect("taking an item does not panic").next();
        pool::side_by_side(threads, || {
            while let Some(item) = next() {
                body(item);
            }
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

/// Runs `body` while the pool's other threads wait busily for its work. For a body of many short
/// [`for_each`]: a sleeping thread takes longer to wake, in a virtual machine above all, than much of that
/// work takes. The price is that they are busy when there is none.
pub fn with_busy_waiting<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    #[cfg(feature = "parallel")]
    if threads() > 1 {
        return pool::with_busy_waiting(body);
    }
    body()
}

/// Where work runs: on the caller's threads, or on threads of its own, for work that is to spread where what
/// surrounds it does not.
#[derive(Debug)]
pub struct Pool {
    #[cfg(feature = "parallel")]
    own: Option<rayon::ThreadPool>,
}

impl Pool {
    /// The caller's threads: those of the pool that it is in, or its one.
    pub const fn of_caller() -> Self {
        Self {
            #[cfg(feature = "parallel")]
            own: None,
        }
    }

    /// So many threads; one, and any number without the `parallel` feature, is [the
    /// caller's](Self::of_caller).
    ///
    /// # Errors
    /// [`Error::Threads`] where the system gives not so many.
    pub fn new(count: usize) -> Result<Self, Error> {
        #[cfg(feature = "parallel")]
        if count > 1 {
            let failed = |reason| Error::Threads { count, reason };
            let most = rayon::max_num_threads();
            if count > most {
                return Err(failed(format!("a pool has {most} at most")));
            }
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
            return Ok(Self { own: Some(pool.map_err(|error| failed(error.to_string()))?) });
        }
        let _ = count;
        Ok(Self::of_caller())
    }

    /// Does work that may spread over them.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        #[cfg(feature = "parallel")]
        if let Some(own) = &self.own {
            return own.install(work);
        }
        work()
    }
}

/// How many threads [`for_each`] may use here.
pub fn threads() -> usize {
    #[cfg(feature = "parallel")]
    if rayon::current_thread_index().is_some() {
        return rayon::current_num_threads();
    }
    1
}

#[cfg(feature = "parallel")]
mod pool {
    use rayon::Yield;
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};

    thread_local! {
        /// Whether an [`BusyWaiting`] is on this thread's stack.
        static AWAKE: Cell<bool> = const { Cell::new(false) };
    }

    /// A thread waits busily for one body at a time, its own or another thread's. At its end a body waits for
    /// the threads that wait busily for it; as these keep none waiting themselves, no two bodies ever wait
    /// for each other.
    struct BusyWaiting;

    impl BusyWaiting {
        fn enter() -> Option<Self> {
            (!AWAKE.replace(true)).then(|| Self)
        }
    }

    impl Drop for BusyWaiting {
        fn drop(&mut self) {
            AWAKE.set(false);
        }
    }

    /// One more, until it is dropped.
    struct One<'a>(&'a AtomicUsize);

    impl<'a> One<'a> {
        fn more(count: &'a AtomicUsize) -> Self {
            count.fetch_add(1, Ordering::Relaxed);
            Self(count)
        }
    }

    impl Drop for One<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Release);
        }
    }

    /// Takes part in whatever work the pool has until there are none left.
    fn work_until_none(left: &AtomicUsize) {
        while left.load(Ordering::Acquire) > 0 {
            if rayon::yield_now() != Some(Yield::Executed) {
                std::thread::yield_now();
            }
        }
    }

    /// Does the same on so many threads, of which this is one; it waits for the others without falling
    /// asleep.
    pub fn side_by_side(threads: usize, work: impl Fn() + Sync) {
        let others = &AtomicUsize::new(0);
        rayon::in_place_scope(|scope| {
            for one in (1..threads).map(|_| One::more(others)) {
                let work = &work;
                scope.spawn(move |_| {
                    let _one = one;
                    work();
                });
            }
            work();
            work_until_none(others);
        });
    }

    pub fn with_busy_waiting<T>(body: impl FnOnce() -> T) -> T {
        let Some(_waiting) = BusyWaiting::enter() else { return body() };
        let running = &AtomicUsize::new(0);
        rayon::in_place_scope(|scope| {
            let _one = One::more(running);
            scope.spawn_broadcast(|_, _| {
                if let Some(_waiting) = BusyWaiting::enter() {
                    work_until_none(running);
                }
            });
            body()
        })
    }
}

#[cfg(all(test, feature = "parallel"))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn in_pool<T: Send>(count: usize, body: impl FnOnce() -> T + Send) -> T {
        Pool::new(count).expect("threads").run(|| {
            assert_eq!(threads(), count);
            body()
        })
    }

    fn sums() -> Vec<u64> {
        (0..50u64).map(|n| map(0..100usize, |i| n * i as u64).into_iter().sum()).collect()
    }

    /// Silently fewer would be measured as if they were more.
    #[test]
    fn threads_that_the_system_does_not_give_are_an_error() {
        let many = rayon::max_num_threads() + 1;
        let Err(Error::Threads { count, reason }) = Pool::new(many) else { panic!("{many} threads") };
        assert!(count == many && !reason.is_empty());
    }

    #[test]
    fn work_without_threads_of_its_own_spreads_over_those_around_it() {
        assert_eq!(in_pool(3, || Pool::of_caller().run(threads)), 3);
        assert_eq!(in_pool(3, || in_pool(2, threads)), 2);
    }

    #[test]
    fn the_same_comes_out_on_any_number_of_threads_busy_waiting_or_not() {
        let alone = sums();
        for threads in [1, 2, 3, 7] {
            assert_eq!(in_pool(threads, sums), alone);
            assert_eq!(in_pool(threads, || with_busy_waiting(sums)), alone);
        }
    }

    #[test]
    fn bodies_that_wait_busily_inside_of_others_and_beside_them_all_end() {
        let ended = AtomicUsize::new(0);
        let alone = sums();
        in_pool(3, || {
            let body = |_| {
                assert_eq!(with_busy_waiting(|| with_busy_waiting(sums)), alone);
                ended.fetch_add(1, Ordering::Relaxed);
            };
            for_each(0..200, body);
            with_busy_waiting(|| for_each(0..200, body));
        });
        assert_eq!(ended.load(Ordering::Relaxed), 400);
    }

    #[test]
    fn a_panic_ends_the_work_wherever_it_happens() {
        for bad in [0, 1, 99] {
            let run =
                || with_busy_waiting(|| for_each(0..100, |i| assert_ne!(i, bad, "the item to stumble over")));
            let outcome = std::panic::catch_unwind(|| in_pool(2, run));
            assert!(outcome.is_err(), "item {bad}");
        }
    }
}
