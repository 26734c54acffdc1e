#!/usr/bin/env python3
"""Runs the examples of docs/gallery.md, and holds what they print against what stands there.

    cargo xtask gallery                  runs all that this machine can, and says what it left out
    cargo xtask gallery --only NAME      those whose headings have NAME in them
    cargo xtask gallery --write          writes what they print into the page

A section's blocks of `console` are one session in an empty folder, with the repository's folders in it and
`blindsight` on the path. Lines that begin with `$` are run; what follows them is what they print. A command that ends
with `&` runs until its section ends, and is waited for until it has said what it has to say. Sizes and decimals differ from
run to run and are not compared; whole numbers and words are. Times are no figures here: the page has a dash for each.
`...` stands for any lines. Classes are listed by their scores, so an example shows an input whose scores lie many
errors apart: near ones change places from run to run.
`<!-- needs: X -->` names a program, or a data set, without which a section is left out.
"""

import argparse
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "gallery.md"
DATA = Path(os.environ.get("BLINDSIGHT_DATA", ROOT.parent / "shared" / "data"))
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)
NEEDS = re.compile(r"<!-- needs: (.*?) -->")
#: What differs from run to run: decimals, and numbers with units.
VARIES = re.compile(r"-?\d[\d,]*\.\d+(e-?\d+)?|\d[\d,]*(?= ?(ms|us|s|B|KiB|MiB|GiB|kB|MB|GB|%)\b)|\b[0-9a-f]{16,}\b")
TIMES = re.compile(r"\d[\d,.]*(?:e\d+)?(?: ?(?:ns|us|µs|ms|s|min|h)\b|/s\b)")
#: Seconds that a command may take, that a server may take to say that it is there, and of silence after that.
LONGEST, STARTING, SILENCE = 300, 60, 2


def masked(line):
    return " ".join(re.sub(r"[-─]{3,}", "---", VARIES.sub("#", TIMES.sub("-", line))).split())


def agrees(expected, printed):
    """Whether what was printed is what stands in the page, where `...` is any lines."""
    pattern = [".*" if line.strip() == "..." else re.escape(masked(line)) for line in expected if line.strip()]
    text = "\n".join(masked(line) for line in printed if line.strip())
    return re.fullmatch("\n?".join(pattern), text, re.S) is not None


def commands(block):
    """The commands of a block, each with the lines that follow it."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.startswith("> "):
            found[-1] = (f"{found[-1][0]}\n{line[2:]}", [])
        else:
            found[-1][1].append(line)
    return found


class Session:
    """A shell's worth of commands, in a folder and with settings of its own."""

    def __init__(self, folder):
        self.folder, self.servers = folder, []
        for name in ["crates", "models", "samples", "python", "deploy"]:
            (folder / name).symlink_to(ROOT / name)
        if DATA.is_dir():
            (folder / "data").symlink_to(DATA)
        home = {name: str(folder / "home") for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME"]}
        release = ROOT / "target" / "release"
        target = os.environ.get("CARGO_TARGET_DIR")
        release = Path(target) / "release" if target else release
        self.environment = {**os.environ, **home, "PATH": f"{release}:{os.environ['PATH']}", "COLUMNS": "100"}

    def run(self, command):
        if command.endswith("&"):
            return self.start(command[:-1])
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LONGEST,
        )
        if done.returncode:
            raise RuntimeError(f"$ {command}\n{done.stdout}{done.stderr}ended with {done.returncode}")
        return done.stdout.splitlines()

    def start(self, command):
        """Starts a server, and waits until it has said something and then nothing for a while."""
        server = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.servers.append(server)
        lines = queue.Queue()
        threading.Thread(target=lambda: [lines.put(line) for line in server.stdout], daemon=True).start()
        patience = STARTING
        try:
            while lines.get(timeout=patience):
                patience = SILENCE
        except queue.Empty:
            if server.poll() is not None or patience == STARTING:
                raise RuntimeError(f"$ {command}\nended, or said nothing in {STARTING} s") from None
        return []

    def close(self):
        for server in reversed(self.servers):
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def missing(section):
    """What a section needs that is not here."""
    for needs in NEEDS.findall(section):
        for name in needs.split(","):
            name = name.strip()
            if not (shutil.which(name) or (DATA / name).is_dir()):
                return name
    return None


def run_section(section, write):
    """The section as it is now, and what disagreed."""
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Path(folder))

        def again(block):
            lines = []
            for command, expected in commands(block.group(1)):
                printed = session.run(command)
                shown = "\n> ".join(command.splitlines())
                kept = expected if agrees(expected, printed) else [TIMES.sub("-", line.rstrip()) for line in printed]
                if kept is not expected and not write:
                    faults.append(f"$ {shown}\n--- stands there\n" + "\n".join(expected) + "\n--- came\n" + "\n".join(kept))
                lines += [f"$ {shown}", *kept]
            return "```console\n" + "\n".join(lines) + "\n```"

        try:
            section = BLOCK.sub(again, section)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            faults.append(str(error))
        finally:
            session.close()
    return section, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only: what is done without --write, too")
    parser.add_argument("--write", action="store_true", help="write what examples print into the page")
    parser.add_argument("--only", default="", metavar="NAME", help="examples whose headings have NAME in them")
    arguments = parser.parse_args()
    sections = re.split(r"(?m)^(?=## )", PAGE.read_text())
    ran, failed = 0, 0
    for at, section in enumerate(sections):
        heading = section.splitlines()[0].lstrip("# ")
        if not BLOCK.search(section) or arguments.only.lower() not in heading.lower():
            continue
        if needed := missing(section):
            print(f"SKIPPED: the gallery's {heading}: no {needed}")
            continue
        sections[at], faults = run_section(section, arguments.write)
        ran, failed = ran + 1, failed + bool(faults)
        print(f"{heading}: {'DIFFERS' if faults else 'written' if arguments.write else 'as it stands there'}")
        print("\n".join(faults), end="\n" if faults else "")
    if arguments.write:
        PAGE.write_text("".join(sections))
    if failed or not ran:
        sys.exit(f"{failed} of {ran} examples differ: cargo xtask gallery --write, if they should")


if __name__ == "__main__":
    main()
