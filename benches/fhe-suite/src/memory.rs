//! Memory: in huge pages for short work, memory that stays for long work.
//!
//! A process that lives for milliseconds would spend a fifth of them on page faults: keys, weights and
//! ciphertexts are dozens of megabytes. This allocator asks for huge pages, where the system grants them to
//! who asks. Who takes gigabytes had better not: where so many huge pages are not free, the system moves
//! others' memory about to make them. And memory that was free for a second goes back to the system, to be
//! paid for again: long work keeps it. Where that would be gigabytes, as in a batch of a deep network, whose
//! values are of many sizes and leave gaps, it goes back at once. The allocator reads what it is told
//! otherwise when a process starts, so long work starts its process once more.

pub use mimalloc::MiMalloc as Allocator;

/// From so many bytes of one request on, answering it takes gigabytes.
const LARGE_REQUEST: u64 = 1 << 30;

/// The allocator's variable for how long free memory is kept: for ever, or not at all.
#[cfg(unix)]
const PURGE_DELAY: &str = "MIMALLOC_PURGE_DELAY";

/// Starts this process once more with memory for long work on requests of so many bytes each, unless it has
/// it already. Where it cannot be started everything goes on as it is.
#[cfg(unix)]
pub fn for_long_work(request_bytes: u64) {
    use std::os::unix::process::CommandExt;
    if std::env::var_os(PURGE_DELAY).is_some() {
        return;
    }
    let delay = if request_bytes < LARGE_REQUEST { "-1" } else { "0" };
    if let Ok(executable) = std::env::current_exe() {
        let mut again = std::process::Command::new(executable);
        again.args(std::env::args_os().skip(1)).env(PURGE_DELAY, delay).env("MIMALLOC_ALLOW_THP", "0");
        // Returns only where it failed.
        let _ = again.exec();
    }
}

/// Elsewhere memory is as the allocator gives it.
#[cfg(not(unix))]
pub fn for_long_work(_request_bytes: u64) {}
