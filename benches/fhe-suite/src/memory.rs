//! Memory: in huge pages for short work, memory that stays for long work.
//!
//! A process that lives for milliseconds would spend a fifth of them on page faults: keys, weights and
//! ciphertexts are dozens of megabytes. This allocator asks for huge pages, where the system grants them to
//! who asks. Who takes gigabytes had better not: where so many huge pages are not free, the system moves
//! others' memory about to make them. And memory that was free for a second goes back to the system, to be
//! paid for again. The allocator reads what it is told otherwise when a process starts, so long work starts
//! its process once more.

pub use mimalloc::MiMalloc as Allocator;

/// The allocator's variables for long work: free memory is kept for ever, and comes in small pages.
#[cfg(unix)]
const FOR_LONG_WORK: [(&str, &str); 2] = [("MIMALLOC_PURGE_DELAY", "-1"), ("MIMALLOC_ALLOW_THP", "0")];

/// Starts this process once more with memory for long work, unless it has it already. Where it cannot be
/// started everything goes on as it is.
#[cfg(unix)]
pub fn for_long_work() {
    use std::os::unix::process::CommandExt;
    if std::env::var_os(FOR_LONG_WORK[0].0).is_some() {
        return;
    }
    if let Ok(executable) = std::env::current_exe() {
        let arguments = std::env::args_os().skip(1);
        // Returns only where it failed.
        let _ = std::process::Command::new(executable).args(arguments).envs(FOR_LONG_WORK).exec();
    }
}

/// Elsewhere memory is as the allocator gives it.
#[cfg(not(unix))]
pub fn for_long_work() {}
