//! Blindsight as a submission to the FHE Benchmarking Suite of HomomorphicEncryption.org, workload *ML
//! inference*: the processes that the suite's harness starts one after the other.
//!
//! # Concepts
//!
//! An [`Instance`] is a size of the benchmark, with the folders under the suite's root where its files lie. A
//! [`Submission`] is what was installed beside the executables: a model and a plan for the instance.
//! [`client`] and [`server`] hold the processes, a function each; the executables in `src/bin` do nothing but
//! call them.
//!
//! # Contract
//!
//! - The server's processes hold no secret: [`server`] knows `blindsight_server` and not the client's crate,
//!   and reads neither the folder of the secret key nor the inputs. A test looks at its source.
//! - The files that the processes exchange are those of the commands `keygen`, `encrypt` and `infer`
//!   (`docs/formats.md`).
//! - Requests are read, answered and written one at a time, so memory does not grow with the instance.

pub mod client;
mod failure;
mod instance;
mod memory;
pub mod pixels;
pub mod server;
mod submission;

pub use failure::{During, Failure, Outcome};
pub use instance::{Instance, Size};
pub use memory::Allocator;
pub use submission::Submission;

use std::path::PathBuf;
use std::process::ExitCode;

/// Runs a process as the harness starts it: the instance's size as the only argument, the suite's root as
/// working directory. Work is spread over all cores that the process may use.
pub fn main(process: fn(&Instance, &Submission) -> Outcome) -> ExitCode {
    exit_code(Instance::of_arguments(std::env::args()).and_then(|instance| {
        let submission = Submission::of(instance.size(), &folder_of_executable()?)?;
        on_all_cores(|| process(&instance, &submission))
    }))
}

/// Runs a process that is of no instance: whatever its arguments are, for each submission that is installed.
pub fn main_of_all(process: fn(&Submission) -> Outcome) -> ExitCode {
    exit_code(folder_of_executable().and_then(|folder| {
        let submissions = Submission::all(&folder)?;
        on_all_cores(|| submissions.iter().try_for_each(process))
    }))
}

fn folder_of_executable() -> Outcome<PathBuf> {
    let executable = std::env::current_exe().during(|| "cannot find this executable".into())?;
    Ok(executable.parent().unwrap_or(&executable).into())
}

fn exit_code(done: Outcome) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// On one core there is no pool: its thread would take time to start.
fn on_all_cores(work: impl FnOnce() -> Outcome + Send) -> Outcome {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match cores {
        1 => work(),
        _ => rayon::ThreadPoolBuilder::new().num_threads(cores).build()?.install(work),
    }
}
