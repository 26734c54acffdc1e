//! Memory that comes in huge pages and stays.
//!
//! A process that lives for milliseconds would spend a third of them on page faults: keys, weights and
//! ciphertexts are dozens of megabytes. This allocator asks for huge pages, where the system grants them to
//! who asks. But it returns memory that was free for a second, and who works for longer than that pays for it
//! again. It reads what it is told otherwise when a process starts, so long work starts its process once
//! more.

pub use mimalloc::MiMalloc as Allocator;

/// The allocator's variable for how long it keeps free memory, in milliseconds.
#[cfg(unix)]
const VARIABLE: &str = "MIMALLOC_PURGE_DELAY";
/// For ever.
#[cfg(unix)]
const FOR_EVER: &str = "-1";

/// Starts this process once more, with memory that stays, unless that is said already. Where it cannot be
/// started everything goes on as it is.
#[cfg(unix)]
pub fn keep() {
    use std::os::unix::process::CommandExt;
    if std::env::var_os(VARIABLE).is_some() {
        return;
    }
    if let Ok(executable) = std::env::current_exe() {
        let arguments = std::env::args_os().skip(1);
        // Returns only where it failed.
        let _ = std::process::Command::new(executable).args(arguments).env(VARIABLE, FOR_EVER).exec();
    }
}

/// Elsewhere memory is as the allocator gives it.
#[cfg(not(unix))]
pub fn keep() {}
