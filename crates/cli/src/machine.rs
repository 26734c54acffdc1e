//! The machine that figures were measured on.

use crate::failure::Outcome;
use blindsight_ring::Kernel;
use serde::Serialize;

/// What decides how fast things run.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Its logical cores, as far as this process may use them.
    pub cores: usize,
    /// The kernel that arithmetic runs on.
    pub kernel: &'static str,
}

impl Machine {
    /// This machine.
    pub fn this() -> Outcome<Self> {
        Ok(Self {
            cpu: entry("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.into()),
            cores: cores(),
            kernel: Kernel::from_environment()?.name(),
        })
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} logical cores, {} kernels", self.cpu, self.cores, self.kernel)
    }
}

/// The logical cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The most memory that this process ever held, where the system tells (Linux).
pub fn peak_memory() -> Option<u64> {
    let kibibytes = entry("/proc/self/status", "VmHWM")?;
    kibibytes.strip_suffix("kB")?.trim().parse::<u64>().ok().map(|k| k << 10)
}

/// The milliseconds that this process's threads have run on a processor so far, where the system tells
/// (Unix). On a machine shared with others this says what work takes, where the clock says how long one waits
/// for it.
pub fn processor_ms() -> Option<f64> {
    #[cfg(unix)]
    {
        let ran = nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID.now().ok()?;
        Some(std::time::Duration::from(ran).as_secs_f64() * 1e3)
    }
    #[cfg(not(unix))]
    None
}

/// The value of the first line `name : value` of a file.
fn entry(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_string())
}
