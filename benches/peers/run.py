"""Times Blindsight, Orion and TenSEAL on the same networks, in turn, on one core, and prints a table and, with --json, a document.

    cargo build --release && python3 benches/peers/run.py

The first run sets up an environment for each library from PyPI, with pinned versions (about 6 GB with PyTorch; see README.md).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NETWORKS = ["cryptonets-mnist", "conv2x2-mnist", "mlp-mnist", "tutorial-mnist", "lenet-mnist"]
LIBRARIES = ["orion", "tenseal"]
THREADS = ["GOMAXPROCS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]


def environment(library, python, folder):
    """The interpreter of the library's environment, set up where it is not there."""
    home = folder / library
    interpreter = home / "bin" / "python"
    done = home / "requirements.txt"
    wanted = (HERE / f"requirements-{library}.txt").read_text()
    if not done.exists() or done.read_text() != wanted:
        print(f"setting up {library} in {home}", file=sys.stderr)
        subprocess.run([python, "-m", "venv", "--clear", home], check=True)
        requirements = HERE / f"requirements-{library}.txt"
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
        done.write_text(wanted)
    return interpreter


class Peer:
    """A worker process with a network prepared; idle until it is asked."""

    def __init__(self, library, interpreter, network, core):
        command = pinned([str(interpreter), str(HERE / f"{library}_worker.py"), network], core)
        pipe = subprocess.PIPE
        self.library, self.latencies, self.processor, self.error, self.facts = library, [], [], None, {}
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=one_thread()
        )
        self.facts = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.error = f"the worker ended with status {self.process.wait()}"
            return {}
        return json.loads(line)

    @property
    def runs(self):
        return self.error is None and "not_offered" not in self.facts

    def measure(self):
        try:
            print(file=self.process.stdin, flush=True)
            answer = self.answer()
        except BrokenPipeError:
            self.error = "the worker ended"
            return
        if answer:
            self.latencies.append(answer.pop("latency_ms"))
            self.processor.append(answer.pop("processor_ms"))
            self.facts.update(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def report(self):
        if not self.runs:
            return {"not_available": self.error or self.facts["not_offered"]}
        return {"latency_ms": spread(self.latencies), "processor_ms": spread(self.processor), **self.facts}


class Blindsight:
    """The command `blindsight bench`."""

    def __init__(self, binary, network, core, flags):
        file = ROOT / "models" / f"{network}.onnx"
        model = str(file) if file.exists() else network
        self.command = pinned([str(binary), "bench", model, "--json", "--threads", "1", *flags], core)
        self.latencies, self.facts, self.error = [], {}, None

    def measure(self):
        done = subprocess.run(self.command, capture_output=True, text=True, env=one_thread())
        if done.returncode != 0:
            self.error = done.stderr.strip().splitlines()[0] if done.stderr.strip() else "failed"
            return
        self.facts = json.loads(done.stdout)
        self.latencies.append(self.facts["latency_ms"]["median"])

    def report(self):
        if self.error:
            return {"not_available": self.error}
        kept = ["representation", "ring_degree", "log_qp", "upload_bytes", "download_bytes", "evaluation_key_bytes"]
        kept += ["peak_rss_bytes", "machine"]
        facts = {key: self.facts[key] for key in kept if key in self.facts}
        return {"latency_ms": spread(self.latencies), **facts}


def pinned(command, core):
    return ["taskset", "-c", str(core), *command]


def one_thread():
    return {**os.environ, **{name: "1" for name in THREADS}}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def compare(network, arguments, interpreters):
    """What each of them takes: one inference of each peer and one `bench` of Blindsight in every round."""
    ours = Blindsight(arguments.blindsight, network, arguments.core, arguments.flag)
    peers = []
    for library, interpreter in interpreters.items():
        print(f"{network}: {library} prepares", file=sys.stderr)
        peers.append(Peer(library, interpreter, network, arguments.core))
    for number in range(arguments.rounds):
        print(f"{network}: round {number + 1} of {arguments.rounds}", file=sys.stderr)
        for one in [ours, *(p for p in peers if p.runs)]:
            if one.error is None:
                one.measure()
    for peer in peers:
        peer.close()
    return {"network": network, "blindsight": ours.report(), **{p.library: p.report() for p in peers}}


def table(rows, libraries):
    """Least times, which noise disturbs least, and how many of ours go into each."""
    lines = [["network", "blindsight", *(cell for name in libraries for cell in (name, "ratio"))]]
    for row in rows:
        ours = row["blindsight"].get("latency_ms", {}).get("min")
        cells = [row["network"], time(ours)]
        for name in libraries:
            theirs = row[name].get("latency_ms", {}).get("min")
            cells += [time(theirs), f"{theirs / ours:.0f}" if ours and theirs else "-"]
        lines.append(cells)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths))))
    for row in rows:
        for name in ["blindsight", *libraries]:
            if reason := row[name].get("not_available"):
                print(f"{row['network']}, {name}: {reason}")


def time(milliseconds):
    return "-" if milliseconds is None else f"{milliseconds:.3g} ms" if milliseconds < 1000 else f"{milliseconds / 1e3:.3g} s"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, help=f"of {', '.join(NETWORKS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="inferences of each peer (default 5)")
    parser.add_argument("--core", type=int, default=0, help="the core that everything runs on (default 0)")
    parser.add_argument("--without", action="append", default=[], choices=LIBRARIES, help="a library to leave out")
    parser.add_argument("--flag", action="append", default=[], help="a flag handed on to `blindsight bench`")
    parser.add_argument("--python", default=sys.executable, help="the Python for the environments: 3.9 to 3.12")
    parser.add_argument("--environments", type=Path, default=ROOT / "target" / "peers", help="where they are set up")
    parser.add_argument("--blindsight", type=Path, default=ROOT / "target" / "release" / "blindsight")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    arguments = parser.parse_args()
    if unknown := [n for n in arguments.networks if n not in NETWORKS]:
        parser.error(f"no network {unknown[0]}: there are {', '.join(NETWORKS)}")
    if arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: expected 1 or more")
    if not arguments.blindsight.exists():
        parser.error(f"{arguments.blindsight} is not there: run `cargo build --release`, or name it with --blindsight")
    return arguments


def main():
    arguments = parse()
    libraries = [name for name in LIBRARIES if name not in arguments.without]
    interpreters = {name: environment(name, arguments.python, arguments.environments) for name in libraries}
    rows = [compare(network, arguments, interpreters) for network in arguments.networks]
    if arguments.json:
        print(json.dumps({"rows": rows}, indent=2))
    else:
        table(rows, libraries)


if __name__ == "__main__":
    main()
