//! Runs the binary as a script would.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod examples;
pub mod serving;

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A folder for one test, removed when the test ends. It is also the home of the configuration, so that no
/// test depends on what was calibrated on this machine. Plans are kept for all tests of this build, which
/// would spend minutes on planning the same networks.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("blindsight-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        Self(folder)
    }

    /// With a cache of its own, in `cache`.
    pub fn with_own_cache(name: &str) -> Self {
        let folder = Self::new(name);
        std::fs::create_dir_all(folder.path("cache")).expect("the temporary folder can be written");
        folder
    }

    fn cache(&self) -> PathBuf {
        let own = self.path("cache");
        if own.is_dir() { own } else { Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, gives its path.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("the temporary folder can be written");
        path
    }

    /// The binary with these arguments; `{name}` stands for a path in this folder.
    fn command(&self, arguments: &str) -> Command {
        let expand = |word: &str| match word.strip_prefix('{').and_then(|w| w.strip_suffix('}')) {
            Some(name) => self.path(name).display().to_string(),
            None => word.to_string(),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_blindsight"));
        command.args(arguments.split_whitespace().map(expand)).env("XDG_CONFIG_HOME", &self.0);
        command
            .env("XDG_DATA_HOME", &self.0)
            .env("XDG_CACHE_HOME", self.cache())
            .env_remove("BLINDSIGHT_TOKEN")
            .env_remove("COLUMNS");
        command.env_remove("BLINDSIGHT_PASSPHRASE").stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    /// The same with variables of the environment.
    pub fn run_with(&self, arguments: &str, variables: &[(&str, &str)]) -> Output {
        self.command(arguments).envs(variables.iter().copied()).output().expect("the binary runs")
    }

    /// The same in this folder, so that files are named without their folder.
    pub fn run_inside(&self, arguments: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied()).current_dir(&self.0).output().expect("the binary runs")
    }

    /// The commands that the first help lists.
    pub fn commands(&self) -> Vec<String> {
        listed(&self.says("--help"))
    }

    /// All commands, those below others too: `keys list`.
    pub fn all_commands(&self) -> Vec<String> {
        let below = |command: String| {
            let help = self.says(&format!("{command} --help"));
            let below: Vec<_> = listed(&help).into_iter().map(|name| format!("{command} {name}")).collect();
            std::iter::once(command).chain(below)
        };
        self.commands().into_iter().flat_map(below).collect()
    }

    /// Runs a command at a terminal of 80 columns, where these lines are typed in answer to what it asks:
    /// what stands on the terminal then. None where there is no Python to make a terminal, which is said.
    pub fn run_at_terminal(&self, arguments: &str, typed: &[&str]) -> Option<Output> {
        self.run_at_terminal_with(arguments, typed, &[])
    }

    /// The same with variables of the environment.
    pub fn run_at_terminal_with(
        &self,
        arguments: &str,
        typed: &[&str],
        variables: &[(&str, &str)],
    ) -> Option<Output> {
        if !Command::new("python3")
            .args(["-c", "import pty, termios"])
            .output()
            .is_ok_and(|o| o.status.success())
        {
            println!("skipped: no python3 that makes terminals: what is asked for there was not tested");
            return None;
        }
        let mut command = self.command(arguments);
        // What decides on colours is what the caller gives, not where the tests run: CI asks for them.
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/terminal.py");
        let mut python = Command::new("python3");
        python.arg(script).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => python.env(name, value),
                None => python.env_remove(name),
            };
        }
        let mut child = python
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it was there just now");
        let mut stdin = child.stdin.take().expect("piped");
        typed.iter().for_each(|line| writeln!(stdin, "{line}").expect("it reads"));
        drop(stdin);
        Some(child.wait_with_output().expect("it ends"))
    }

    /// Starts a command, its output kept.
    pub fn start(&self, arguments: &str) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
    }

    /// Runs a command that must succeed, with `--json`: its document.
    pub fn json(&self, arguments: &str) -> Value {
        let output = self.run(&format!("{arguments} --json"));
        assert!(output.status.success(), "{arguments}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{arguments}: {e} in {}", text(&output.stdout)))
    }

    /// Runs a command that must succeed: its text.
    pub fn says(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs a command that must fail with `code` and say nothing on stdout: what it says on stderr.
    pub fn fails(&self, code: i32, arguments: &str) -> String {
        let output = self.run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
        assert!(output.stdout.is_empty(), "{arguments}: {}", text(&output.stdout));
        assert!(!said.contains("panicked"), "{arguments}: {said}");
        said
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The names of commands in a help.
fn listed(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let named = lines.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let names = named.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(String::from).collect()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The path of a drawn digit.
pub fn digit(n: usize) -> String {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples");
    samples.join(format!("digit-{n}.png")).display().to_string()
}

/// The folder of a data set, where there is one: in `BLINDSIGHT_DATA`, or else in `shared/data` beside the
/// repository.
pub fn data(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("BLINDSIGHT_DATA").map_or(beside, PathBuf::from).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!(
        "skipped: no data set in {} (set BLINDSIGHT_DATA to a folder that has {name}/)",
        folder.display()
    );
    None
}

/// Asserts that an object has all of `fields`, none of them null.
pub fn assert_fields(document: &Value, fields: &[&str]) {
    for field in fields {
        let value = document.get(field);
        assert!(value.is_some_and(|v| !v.is_null()), "field {field} is {value:?} in {document}");
    }
}

/// Bytes of a PNG of zeros: 8 bits a channel.
pub fn black_png(width: u32, height: u32, colour: Colour) -> Vec<u8> {
    even_png(width, height, colour, 0)
}

/// Bytes of a PNG of pixels that are all the same: 8 bits a channel.
pub fn even_png(width: u32, height: u32, colour: Colour, pixel: u8) -> Vec<u8> {
    let channels = match colour {
        Colour::Grey => 1,
        Colour::Rgb => 3,
    };
    png(width, colour, &vec![pixel; (width * height * channels) as usize])
}

/// Bytes of a PNG of these pixels, row by row: 8 bits a channel.
pub fn png(width: u32, colour: Colour, pixels: &[u8]) -> Vec<u8> {
    let (channels, kind) = match colour {
        Colour::Grey => (1, 0),
        Colour::Rgb => (3, 2),
    };
    let rows = pixels.chunks((width * channels) as usize);
    let mut header = vec![];
    header.extend(width.to_be_bytes());
    header.extend((rows.len() as u32).to_be_bytes());
    header.extend([8, kind, 0, 0, 0]);
    let lines: Vec<u8> = rows.flat_map(|row| [&[0], row].concat()).collect();
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", header), (b"IDAT", stored_zlib(&lines)), (b"IEND", vec![])] {
        png.extend((data.len() as u32).to_be_bytes());
        let body = [kind.as_slice(), &data].concat();
        png.extend(&body);
        png.extend(crc32(&body).to_be_bytes());
    }
    png
}

pub enum Colour {
    Grey,
    Rgb,
}

/// An uncompressed zlib stream of up to 65,535 bytes.
fn stored_zlib(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u16;
    let mut out = vec![0x78, 0x01, 1];
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(bytes);
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), &x| {
        let a = (a + u32::from(x)) % 65521;
        (a, (b + a) % 65521)
    });
    out.extend((b << 16 | a).to_be_bytes());
    out
}

pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { 0xedb8_8320 ^ c >> 1 } else { c >> 1 })
    })
}
