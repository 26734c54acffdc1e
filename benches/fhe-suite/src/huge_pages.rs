//! Memory in huge pages.
//!
//! A process that lives for milliseconds spends a third of them on page faults: keys, weights and ciphertexts
//! are some dozens of megabytes, and each 4 KiB of them is a fault. glibc asks for huge pages where its tunables
//! say so, and reads them when a process starts. So a process starts itself once more with them, which takes
//! about a millisecond. Where that does not work everything goes on as it is.

/// The variable of glibc's tunables.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const VARIABLE: &str = "GLIBC_TUNABLES";
/// Huge pages wherever the system grants them to who asks; and a heap that grows by 64 MiB, so that it has some.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TUNABLES: &str = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4194304:glibc.malloc.trim_threshold=1073741824:glibc.malloc.top_pad=67108864";

/// Starts the process anew with huge pages, unless its user has set tunables already.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn use_huge_pages() {
    use std::os::unix::process::CommandExt;
    if std::env::var_os(VARIABLE).is_some() {
        return;
    }
    if let Ok(executable) = std::env::current_exe() {
        let arguments = std::env::args_os().skip(1);
        // Returns only where it failed.
        let _ = std::process::Command::new(executable).args(arguments).env(VARIABLE, TUNABLES).exec();
    }
}

/// Elsewhere memory is as the system gives it.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn use_huge_pages() {}
