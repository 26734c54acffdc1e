//! The project's chores: `cargo xtask` lists them.
//!
//! Each is a list of commands, run one after the other in the repository's root until one fails. What is a
//! program of its own (`tools/`, `.ci/`) stays one: here it gets a name.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "\
cargo xtask lint              format, prose, links, figures, table of dependencies, clippy: before every commit
cargo xtask check             that, unit tests and doc tests: minutes
cargo xtask ci                everything that must hold before a change lands (.ci/run)
cargo xtask ci --slow         what is too slow for that, or needs more (.ci/slow)
cargo xtask figures [FLAGS]   measures the figures of README and docs: --check, --only NAME, --write, --list
cargo xtask gallery [FLAGS]   runs the gallery's examples: --check (default), --write, --only NAME
cargo xtask book [--check]    builds the documentation with mdBook, or checks its links alone";

/// One command: the program and its arguments.
type Step = Vec<String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [] | ["help" | "--help" | "-h"] = arguments[..] {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match steps(&arguments) {
        Ok(steps) => run_all(&steps),
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::from(2)
        }
    }
}

/// What a chore is made of, or what to say where there is no such chore.
fn steps(arguments: &[&str]) -> Result<Vec<Step>, String> {
    match arguments {
        ["lint"] => Ok(lint()),
        ["check"] => Ok([lint(), tests()].concat()),
        ["ci"] => Ok(vec![step(".ci/run", &[])]),
        ["ci", "--slow"] => Ok(vec![step(".ci/slow", &[])]),
        ["figures", flags @ ..] => Ok([release(flags), vec![python("figures", flags)]].concat()),
        ["gallery", flags @ ..] => Ok([release(&[]), vec![python("gallery", flags)]].concat()),
        ["book", flags @ ..] => Ok(vec![python("book", flags)]),
        other => Err(format!("no chore is called {}\n\n{HELP}", other.join(" "))),
    }
}

fn lint() -> Vec<Step> {
    vec![
        step("cargo", &["fmt", "--all", "--check"]),
        python("prose", &["--check"]),
        python("book", &["--check"]),
        python("figures", &["--check"]),
        python("dependencies", &["--check", "docs/dependencies.md"]),
        step(
            "cargo",
            &["clippy", "--release", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
        ),
    ]
}

fn tests() -> Vec<Step> {
    let cargo_test = ["test", "--release", "--workspace", "--locked", "--quiet"];
    vec![
        step("cargo", &[&cargo_test[..], &["--lib", "--bins"]].concat()),
        step("cargo", &[&cargo_test[..], &["--doc"]].concat()),
    ]
}

/// The binary that figures and examples come from; none is needed where nothing is measured.
fn release(flags: &[&str]) -> Vec<Step> {
    let measures_nothing = flags.iter().any(|flag| ["--check", "--write", "--list", "--help"].contains(flag));
    let build = step("cargo", &["build", "--release", "--locked", "--package", "blindsight-cli"]);
    if measures_nothing { Vec::new() } else { vec![build] }
}

fn step(program: &str, arguments: &[&str]) -> Step {
    std::iter::once(program).chain(arguments.iter().copied()).map(str::to_string).collect()
}

/// One of the scripts in `tools/`.
fn python(tool: &str, flags: &[&str]) -> Step {
    step("python3", &[&[format!("tools/{tool}.py").as_str()], flags].concat())
}

fn run_all(steps: &[Step]) -> ExitCode {
    for step in steps {
        eprintln!("== {}", step.join(" "));
        if let Err(complaint) = run(step) {
            eprintln!("{}: {complaint}", step.join(" "));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn run(step: &Step) -> Result<(), String> {
    let (program, arguments) = step.split_first().ok_or("an empty step")?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_of_this_package)) {
        command.env_remove(name);
    }
    let status = command
        .args(arguments)
        .current_dir(root())
        .status()
        .map_err(|error| format!("cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

/// Whether a variable is what cargo tells a program that it runs of the program's package.
///
/// The build script of `ring` asks to be run anew when these change: handed on, they had `ring` and all that
/// uses it built twice, once for a chore and once for the next command without one.
fn is_of_this_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| variable.starts_with(start))
}

/// The repository's root: the folder above this crate's.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chore(line: &str) -> Result<Vec<Step>, String> {
        steps(&line.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn every_chore_of_the_help_is_one() {
        for line in HELP.lines() {
            let name = line.split_whitespace().nth(2).expect("a name");
            assert!(chore(name).is_ok_and(|steps| !steps.is_empty()), "{name}");
        }
    }

    #[test]
    fn what_is_no_chore_is_refused_with_all_that_are() {
        for line in ["", "frobnicate", "ci --fast", "check --slow"] {
            assert!(chore(line).is_err_and(|complaint| complaint.contains("cargo xtask lint")), "{line}");
        }
    }

    #[test]
    fn every_program_of_the_repository_is_there() {
        let chores = ["check", "ci", "ci --slow", "figures", "gallery", "book"];
        for step in chores.iter().flat_map(|line| chore(line).expect("a chore")) {
            for word in step.iter().filter(|word| word.starts_with(".ci/") || word.ends_with(".py")) {
                assert!(root().join(word).is_file(), "{word}");
            }
        }
    }

    #[test]
    fn flags_reach_the_tool_and_a_mere_check_builds_nothing() {
        assert_eq!(
            chore("figures --check").expect("a chore"),
            [step("python3", &["tools/figures.py", "--check"])]
        );
        assert_eq!(chore("figures --only one").expect("a chore").len(), 2);
    }

    /// Under `cargo test` there are such variables.
    #[test]
    fn a_step_knows_nothing_of_this_package() {
        assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
        assert!(run(&step("sh", &["-c", "! env | grep -E '^CARGO_(PKG|MANIFEST)_'"])).is_ok());
    }

    #[test]
    fn a_step_that_fails_is_named() {
        assert!(run(&step("cargo", &["--version"])).is_ok());
        assert!(
            run(&step("no-such-program-anywhere", &[])).is_err_and(|said| said.contains("cannot be started"))
        );
    }
}
