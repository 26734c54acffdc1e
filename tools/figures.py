#!/usr/bin/env python3
"""The figures of README and docs: measured by one command, kept in one file, shown by tables made of it.

    cargo xtask figures                     measures what is not yet known of this commit on this machine, keeps
                                            it in docs/figures.json, and writes tables and charts anew
    cargo xtask figures --only NAME ...     measures anew the runs whose names begin with NAME, and nothing else
    cargo xtask figures --write             measures nothing: tables and charts from the file
    cargo xtask figures --check             measures and writes nothing: do tables and charts agree with the file?
    cargo xtask figures --list              the runs, and what is known of each

A run is a command of this repository. Its result, machine and commit are kept as soon as it ends, so what was
interrupted goes on where it was. Runs of the groups `clear`, `same`, `peers` and `suite` need a data set or
libraries of others, or take long: they run where `--only` names them. A table stands between
`<!-- figures: NAME -->` and `<!-- end -->`, and is one of the functions below; or it is kept as it was measured, in
the file's `once`: what one command cannot give again in minutes, with the command, the machine and the day.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs" / "figures.json"
CHARTS = ["literature", "cifar10"]
BINARY = ROOT / "target" / "release" / "blindsight"
BLOCK = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end -->)", re.S)

#: The shipped networks with the inferences that are timed, and those that are compared with plain inference.
MODELS = {
    "lola-small-mnist": (100, 50),
    "cryptonets-mnist": (100, 1000),
    "cryptonets-pruned-mnist": (100, 50),
    "conv2x2-mnist": (100, 50),
    "tutorial-mnist": (100, 50),
    "mlp-mnist": (60, 50),
    "lenet-mnist": (20, 50),
    "lola-cifar10": (10, 200),
    "cifar10-fast": (7, 1000),
    "cifar10": (5, 1000),
}
SHAPES = {
    "lola-small-mnist": "conv 5x5, dense 10",
    "cryptonets-mnist": "conv 5x5, dense 100, dense 10",
    "cryptonets-pruned-mnist": "the same, pruned",
    "conv2x2-mnist": "conv 2x2, dense 100, dense 10",
    "tutorial-mnist": "conv 7x7, dense 64, dense 10",
    "mlp-mnist": "dense 128, dense 128, dense 10",
    "lenet-mnist": "conv 5x5 to 32 and 64 channels, dense 512, dense 10",
    "lola-cifar10": "conv 8x8 to 83 channels, conv 10x10 to 112 channels, dense 10",
    "cifar10-fast": "six convolutions 3x3 to 32, 64, 64, 256, 256, 512 channels, dense 10",
    "cifar10": "convolution 5x5 to 64 channels, seven 3x3 to 64, 64, 256, 256, 256, 256, 512, dense 10",
}
#: Of each command's document, what is kept.
KEPT = {
    "bench": "latency_ms scaling expand_ms encrypt_ms decrypt_ms prepare_ms plan_ms keygen_ms peak_rss_bytes".split(),
    "explain": """levels ring_degree log_qp predicted_ms predicted_error totals upload_bytes download_bytes
        evaluation_key_bytes server_bytes""".split(),
    "compare": ["rows"],
    "evaluate": """count correct_plain correct_encrypted agree refused too_close max_abs_error
        mean_abs_error""".split(),
    "rows": "representation totals upload_bytes predicted_ms".split(),
}
BYTES = {"request": "upload_bytes", "reply": "download_bytes", "evaluation keys": "evaluation_key_bytes"}
MEASURED_ON_REQUEST = ("clear", "same", "peers", "suite")
# The runs of the benchmarking suite, in the order of its table.
SUITE = ("suite/mnist", "suite/cifar10", "suite/cifar10-large")


# The runs.


def data_set(model):
    folder = Path(os.environ.get("BLINDSIGHT_DATA", ROOT.parent / "shared" / "data"))
    return str(folder / ("cifar10" if "cifar10" in model else "mnist"))


def runs():
    """Every run: its name, and its command, with `blindsight` for the binary."""
    bench = lambda model, count, *flags: ["blindsight", "bench", model, "--runs", str(count), *flags]
    network = "cryptonets-mnist"
    for model in MODELS:
        yield f"plan/{model}", ["blindsight", "explain", model]
    for plan in ["cryptonets", "lola", "lola-dense"]:
        yield f"literature/{plan}", ["blindsight", "explain", network, "--representation", plan]
    for model in ["lola-small-mnist", "lola-cifar10"]:
        yield f"literature/lola/{model}", ["blindsight", "explain", model, "--representation", "lola"]
    for plan in ["operations", "upload"]:
        yield f"plan/{plan}", ["blindsight", "explain", network, "--objective", plan]
    yield "plan/private", ["blindsight", "explain", network, "--reply", "private"]
    for objective in ["operations", "latency"]:
        yield f"counts/{objective}", ["blindsight", "compare", network, "--objective", objective]
    for model, (count, _) in MODELS.items():
        yield f"one/{model}", bench(model, count, "--threads", "1")
    for objective in ["operations", "upload"]:
        yield f"objective/{objective}", bench(network, 60, "--threads", "1", "--objective", objective)
    for kernel in ["avx2", "scalar"]:
        yield f"kernel/{kernel}", [f"BLINDSIGHT_KERNEL={kernel}", *bench(network, 40, "--threads", "1")]
    yield "private", bench(network, 40, "--threads", "1", "--reply", "private")
    batch = bench(network, 5, "--threads", "1", "--representation", "cryptonets")
    yield "batch/avx512", batch
    yield "batch/avx2", ["BLINDSIGHT_KERNEL=avx2", *batch]
    for model, (count, _) in MODELS.items():
        yield f"two/{model}", bench(model, count, "--threads", "2")
    yield "two/batch", bench(network, 3, "--threads", "2", "--representation", "cryptonets")
    for model, (_, count) in MODELS.items():
        evaluate = ["blindsight", "evaluate", model, "--data", data_set(model)]
        yield f"clear/{model}", evaluate
        yield f"same/{model}", [*evaluate, "--encrypted", "--count", str(count), "--threads", "2"]
    yield "same/batch", [
        "blindsight", "evaluate", network, "--data", data_set(network), "--encrypted", "--batch"
    ]  # fmt: skip
    yield "peers", ["python3", "benches/peers/run.py", "--rounds", "3", "--core", "1"]
    suite = ["taskset", "-c", "1", "benches/fhe-suite/run"]
    yield "suite/mnist", [*suite, "--mnist", data_set(network), "--sizes", "0", "1", "2", "3", "--runs", "5"]
    yield "suite/cifar10", [*suite, "--cifar10", data_set("cifar10"), "--runs", "5"]
    yield "suite/cifar10-large", [*suite, "--cifar10", data_set("cifar10"), "--sizes", "3", "--runs", "1"]


def kept(command, document):
    """What of a command's document is kept."""
    kind = next((word for word in command if word in KEPT), None)
    if kind is None:
        return document
    result = {field: document[field] for field in KEPT[kind] if field in document}
    if kind == "compare":
        result["rows"] = [{field: row[field] for field in KEPT["rows"]} for row in result["rows"]]
    return result


def shown(command):
    """A command as readers may give it: paths of this machine are left out."""
    return " ".join("DIR" if word.startswith("/") else word for word in command)


def measure(command):
    variables = dict(word.split("=", 1) for word in command if re.match(r"[A-Z_]+=", word))
    words = [str(BINARY) if word == "blindsight" else word for word in command if not re.match(r"[A-Z_]+=", word)]
    done = subprocess.run([*words, "--json"], cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{shown(command)}: {done.stdout}{done.stderr}")
    return kept(command, json.loads(done.stdout, parse_float=lambda text: float(f"{float(text):.6g}")))


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def this_machine():
    """The processor's name, its vectors and the number of its cores."""
    text = Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*:\s*(.*)", text)
    vectors = next((name for flag, name in [("avx512f", "AVX-512"), ("avx2", "AVX2")] if flag in text), "no AVX2")
    virtual = ", virtual" if "hypervisor" in text else ""
    return f"{name.group(1).strip() if name else 'unknown'} ({vectors}{virtual}, {os.cpu_count()} logical cores)"


def this_commit():
    """The commit, with a plus where code was changed since."""
    changed = git("status", "--porcelain", "--", "crates", "benches", "models", "Cargo.lock")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def measure_all(figures, only, again):
    """Measures the runs that are named, or whose result is not of this commit and machine."""
    machine, commit = this_machine(), this_commit()
    wanted = [
        (name, command)
        for name, command in runs()
        if (name.startswith(tuple(only)) if only else not name.startswith(MEASURED_ON_REQUEST))
    ]
    if only and not wanted:
        sys.exit(f"no run begins with {', '.join(only)}: --list shows them")
    for number, (name, command) in enumerate(wanted, 1):
        known = figures["runs"].get(name, {})
        if not (again or only) and (known.get("machine"), known.get("commit")) == (machine, commit):
            continue
        began = time.monotonic()
        result = measure(command)
        print(f"{number} of {len(wanted)}: {name}, {time.monotonic() - began:.0f} s", file=sys.stderr)
        figures["runs"][name] = {
            "command": shown(command),
            "machine": machine,
            "commit": commit,
            "date": datetime.date.today().isoformat(),
            "result": result,
        }
        save(figures)


# How figures are shown.


def digits(value):
    """Two or three digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def duration(milliseconds):
    if milliseconds is None:
        return "-"
    if milliseconds >= 60_000:
        return f"{milliseconds / 1e3:,.0f} s"
    return f"{digits(milliseconds / 1e3)} s" if milliseconds >= 200 else f"{digits(milliseconds)} ms"


def binary_size(count):
    if count is None:
        return "-"
    for unit, size in [("GiB", 2**30), ("MiB", 2**20)]:
        if count >= size:
            value = count / size
            return f"{value:.1f} {unit}" if value < 100 else f"{value:,.0f} {unit}"
    return f"{count / 1024:.0f} KiB"


def megabytes(count):
    if count is None:
        return "-"
    return f"{count} B" if count < 1000 else f"{count / 1e6:.1f} MB"


def percent(share):
    return f"{100 * share:.2f} %"


def of(document, *path):
    """A figure within nested documents; None where it is not known."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def plain(value, form="{:,}"):
    return "-" if value is None else form.format(value)


def rows(head, body):
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


class Figures:
    """What is known, by run."""

    def __init__(self, document):
        self.document = document
        self.runs = document["runs"]

    def get(self, run, *path):
        return of(self.runs.get(run), "result", *path)

    def accuracy(self, model):
        run = self.get(f"clear/{model}")
        return run["correct_plain"] / run["count"]

    def latency(self, run):
        return self.get(run, "latency_ms", "median")

    def caption(self, names, said=""):
        """Where the figures come from: machines, commits and the command."""
        origins = {}
        for name in names:
            if run := self.runs.get(name):
                origins.setdefault((run["machine"], run["commit"]), []).append(name)
        first, *others = sorted(origins.items(), key=lambda origin: -len(origin[1]))
        text = f"{said}{first[0][0]}, commit `{first[0][1]}`."
        for (machine, commit), which in others:
            listed = ", ".join(f"`{name.split('/')[-1]}`" for name in which)
            text += f" {listed}: {machine}, commit `{commit}`."
        return "\n" + wrap(text) + "\n"


def wrap(text):
    kept = re.sub(r"`[^`]*`", lambda code: code.group(0).replace(" ", "\0"), text)
    return "\n".join(textwrap.wrap(kept, 110, break_long_words=False, break_on_hyphens=False)).replace("\0", " ")


# The tables, by the name of their markers.


def table(figures, name):
    """The table of a marker; None where there is none of the name."""
    if name in TABLES:
        return TABLES[name](figures)
    return measured_once(figures.document["once"][name]) if name in figures.document["once"] else None


def measured_once(kept):
    """A table whose cells are kept as they were measured."""
    wrong = [row for row in kept["rows"] if len(row) != len(kept["head"])]
    if wrong:
        sys.exit(f"docs/figures.json: {kept['command']}: expected {len(kept['head'])} cells in each row, got {wrong[0]}")
    return rows(kept["head"], kept["rows"]) + "\n" + wrap(f"{kept['machine']}, {kept['date']}.") + "\n"


def networks(figures):
    """README's: a few networks, and what else there is for each."""
    peers = {row["network"]: row for row in figures.get("peers", "rows")}
    published = figures.document["published"]

    def rival(model):
        if model in peers:
            theirs, ours = (peers[model][who]["latency_ms"]["min"] for who in ("orion", "blindsight"))
            return f"Orion 1.0.2, in turn with ours: {duration(theirs)}, {theirs / ours:.0f} times as long"
        return f"{published[model]['what']}: {duration(published[model]['latency_ms'])}"

    body = []
    for model in ["cryptonets-mnist", "mlp-mnist", "lenet-mnist", "cifar10-fast", "cifar10"]:
        one = f"one/{model}"
        cells = [duration(figures.latency(one)), binary_size(figures.get(f"plan/{model}", "upload_bytes"))]
        body.append([f"`{model}`", percent(figures.accuracy(model)), *cells, rival(model)])
    head = ["network", "accuracy", "server, one image", "request", "best alternative"]
    names = [f"one/{row[0].strip('`')}" for row in body]
    return rows(head, body) + figures.caption(names, "One core, medians. ")


def models(figures):
    body = []
    for model, shape in SHAPES.items():
        one, plan = f"one/{model}", f"plan/{model}"
        body.append([
            f"[`{model}`](../models/{model}.md)",
            shape,
            percent(figures.accuracy(model)),
            f"{figures.get(plan, 'levels')}, {figures.get(plan, 'ring_degree')}",
            plain(figures.get(plan, "totals", "hops")),
            duration(figures.latency(one)),
            binary_size(figures.get(one, "peak_rss_bytes")),
            f"{binary_size(figures.get(plan, 'upload_bytes'))} / {binary_size(figures.get(plan, 'download_bytes'))}",
            megabytes(figures.get(plan, "evaluation_key_bytes")),
        ])  # fmt: skip
    head = ["model", "shape", "accuracy", "levels, ring", "operations", "server, one image", "memory of the process"]
    return rows([*head, "request / reply", "keys, once"], body) + figures.caption(
        [f"one/{model}" for model in MODELS], "`blindsight bench NAME --threads 1`: "
    )


def same(figures):
    body = []
    for model in [*MODELS, "batch"]:
        known = figures.get(f"same/{model}")
        if known is None:
            continue
        refused = f", {known['refused']} refused" if known.get("refused") else ""
        errors = [plain(known.get(error), "{:.2g}") for error in ("max_abs_error", "mean_abs_error")]
        name = "`cryptonets-mnist`, `--batch`" if model == "batch" else f"`{model}`"
        body.append([name, f"{known['agree']:,} of {known['count']:,}{refused}", *errors])
    return rows(["model", "same label as in the clear", "largest error of a score", "mean error"], body)


def kernels(figures):
    columns = ["one/cryptonets-mnist", "kernel/avx2", "kernel/scalar", "two/cryptonets-mnist"]
    lines = {
        "server: inference, median, ms": ("latency_ms", "median"),
        "server: inference, fastest, ms": ("latency_ms", "min"),
        "server: expanding a request, ms": ("expand_ms",),
        "server: preparing model and keys, once, ms": ("prepare_ms",),
        "client: encrypting an image, ms": ("encrypt_ms",),
        "client: decrypting a reply, ms": ("decrypt_ms",),
        "client: generating keys, once, ms": ("keygen_ms",),
    }
    cell = lambda value: "-" if value is None else digits(value)
    body = [[what, *(cell(figures.get(run, *path)) for run in columns)] for what, path in lines.items()]
    memory = [plain(figures.get(run, "peak_rss_bytes"), "{:.0f}") for run in columns]
    memory = [m if m == "-" else f"{int(m) / 2**20:.0f}" for m in memory]
    body.append(["peak memory of the process, MiB", *memory])
    return rows(["", "AVX-512", "AVX2", "scalar", "AVX-512, 2 threads"], body) + figures.caption(columns)


def objectives(figures):
    kinds = {
        "`latency`": ("plan/cryptonets-mnist", "one/cryptonets-mnist"),
        "`operations`": ("plan/operations", "objective/operations"),
        "`upload`": ("plan/upload", "objective/upload"),
    }
    body = []
    for name, (plan, run) in kinds.items():
        totals = figures.get(plan, "totals") or {}
        counts = [plain(totals.get(field)) for field in ("hops", "key_switches", "ntts")]
        sizes = [binary_size(figures.get(plan, "upload_bytes")), megabytes(figures.get(plan, "evaluation_key_bytes"))]
        body.append([name, *counts, duration(figures.latency(run)), *sizes])
    head = ["`--objective`", "operations", "key-switches", "NTTs", "inference", "request", "evaluation keys"]
    return rows(head, body) + figures.caption([run for _, run in kinds.values()])


def prediction(figures):
    measured = {f"`{model}`": (f"plan/{model}", f"one/{model}") for model in MODELS}
    measured["`cryptonets-mnist`, `--objective upload`"] = ("plan/upload", "objective/upload")
    measured["`cryptonets-mnist`, batch"] = ("literature/cryptonets", "batch/avx512")
    body = []
    for name, (plan, run) in measured.items():
        predicted, found = figures.get(plan, "predicted_ms"), figures.latency(run)
        body.append([name, f"{predicted:.1f}", f"{found:.1f}", f"{predicted / found:.2f}"])
    return rows(["model", "predicted, ms", "measured, ms", "ratio"], body) + figures.caption(
        [run for _, run in measured.values()]
    )


def private(figures):
    columns = ["one/cryptonets-mnist", "private"]
    clean, masked = (figures.latency(run) for run in columns)
    plans = ["plan/cryptonets-mnist", "plan/private"]
    ring = [f"{figures.get(plan, 'ring_degree')}, {figures.get(plan, 'log_qp'):.0f}" for plan in plans]
    body = [
        ["ring degree, log2(QP)", *ring],
        ["inference", duration(clean), f"{duration(masked)} ({masked / clean:.1f} times)"],
        ["evaluation keys", *(megabytes(figures.get(plan, "evaluation_key_bytes")) for plan in plans)],
        ["peak memory of the process", *(binary_size(figures.get(run, "peak_rss_bytes")) for run in columns)],
    ]
    return rows(["", "clean", "private"], body) + figures.caption(columns)


def threads(figures):
    body = []
    for name, run in [*((f"`{model}`", f"two/{model}") for model in MODELS), ("`cryptonets-mnist`, batch", "two/batch")]:
        scaling = figures.get(run, "scaling")
        factors = [f"{scaling[field]:.2f}" for field in ("speedup", "side_by_side")]
        body.append([name, duration(figures.latency(run)), *factors])
    head = ["model", "two threads", "times as fast as one", "side by side"]
    return rows(head, body) + figures.caption([f"two/{model}" for model in MODELS] + ["two/batch"])


def batch(figures):
    columns = ["batch/avx512", "batch/avx2"]
    times = [figures.latency(run) for run in columns]
    body = [
        ["inference of 8,192 images", *map(duration, times)],
        ["images a second", *(f"{8192 / time * 1e3:,.0f}" for time in times)],
        ["expanding a request", *(duration(figures.get(run, "expand_ms")) for run in columns)],
        *([what, *[binary_size(figures.get("literature/cryptonets", field))] * 2] for what, field in BYTES.items()),
        ["peak memory of the process", *(binary_size(figures.get(run, "peak_rss_bytes")) for run in columns)],
    ]
    return rows(["", "AVX-512", "AVX2"], body) + figures.caption(columns)


def peers(figures):
    body = []
    for row in figures.get("peers", "rows"):
        ours = row["blindsight"]["latency_ms"]["min"]
        cells = [f"{duration(ours)}, {binary_size(row['blindsight']['peak_rss_bytes'])}"]
        for library in ["orion", "tenseal"]:
            theirs = of(row, library, "latency_ms", "min")
            memory = of(row, library, "peak_rss_bytes")
            ratio = theirs and f"{theirs / ours:,.0f} times"
            cells.append(f"{duration(theirs)} ({ratio}), {binary_size(memory)}" if theirs else "not offered")
        body.append([f"`{row['network']}`", *cells])
    return rows(["network", "Blindsight", "Orion 1.0.2", "TenSEAL 0.3.18"], body) + figures.caption(["peers"])


def suite(figures):
    reports = [report for run in SUITE for report in figures.get(run, "reports")]
    images = {"single": "1", "small": "100", "medium": "1,000", "large": "10,000"}
    names = {"mnist": "MNIST", "cifar10": "CIFAR-10"}
    processes = ["client_key_generation", "server_preprocess_model", "client_preprocess_input"]
    processes += ["client_encode_encrypt_input", "server_encrypted_compute"]
    after = ["client_decrypt_decode", "client_postprocess"]
    cell = lambda f: f"{digits(f['processor'] * 1e3)} ({digits(f['seconds']['min'] * 1e3)})"
    body = [[f"`{name}`", *(cell(report["processes"][name]) for report in reports)] for name in processes]
    steps = [{step.lower(): seconds for step, seconds in report["server_steps"].items()} for report in reports]
    for step in steps[0]:
        body.append([f"of it: {step}", *(digits(1e3 * of_report[step]) for of_report in steps)])
    body += [[f"`{name}`", *(cell(report["processes"][name]) for report in reports)] for name in after]
    folders = {"public_keys": "evaluation keys", "ciphertexts_upload": "requests", "ciphertexts_download": "replies"}
    for folder, what in folders.items():
        body.append([what, *(binary_size(report["bytes"].get(folder)) for report in reports)])
    memory = lambda report: report["processes"]["server_encrypted_compute"]["peak_rss_bytes"]
    body.append(["peak memory of the server", *(binary_size(memory(report)) for report in reports)])
    body.append(["right", *(f"{report['right']:,} of {report['count']:,}" for report in reports)])
    head = ["ms", *(f"{names[report['data_set']]}, {images[report['instance']]}" for report in reports)]
    return rows(head, body) + figures.caption(list(SUITE))


def literature(figures):
    chart = chart_of("literature")
    body = []
    for row in chart["rows"]:
        operations, latency = row["values"]
        body.append([row["label"], plain(operations), duration(latency), row["source"]])
    return rows(["one image through the CryptoNets network", "operations", "time", "source"], body)


def counts(figures, objective):
    body = []
    for row in figures.get(f"counts/{objective}", "rows"):
        name, totals = row["representation"], row["totals"]
        if not re.fullmatch(r"im2col-[1-6]", name):
            continue
        rotations = f"{totals['rotations']} ({totals['hoisted_rotations']})"
        fields = ["plaintext_multiplications", "ciphertext_multiplications", "additions", "hops", "key_switches", "ntts"]
        body.append([name.removeprefix("im2col-"), rotations, *(totals[field] for field in fields)])
    body.sort()
    head = ["T", "rotations (hoisted)", "products", "squares", "additions", "HOPs", "key-switches", "NTTs"]
    return rows(head, body)


def plans(figures):
    kinds = {
        "literature/lola": ("`lola`", "LoLa-MNIST"),
        "literature/lola-dense": ("`lola-dense`", "LoLa-MNIST"),
        "literature/lola/lola-small-mnist": ("`lola`", "LoLa-Small"),
        "literature/lola/lola-cifar10": ("`lola`", "LoLa-CIFAR"),
        "literature/cryptonets": ("`cryptonets`", "LoLa-MNIST"),
    }
    fields = ["rotations", "plaintext_multiplications", "ciphertext_multiplications", "additions", "hops"]
    body = []
    for run, (plan, network) in kinds.items():
        totals = figures.get(run, "totals")
        body.append([plan, network, *(plain(totals[field]) for field in fields), f"`{figures.runs[run]['command']}`"])
    head = ["plan", "network", "rotations", "products with plaintexts", "products of ciphertexts", "additions", "HOPs"]
    return rows([*head, "command"], body)


TABLES = {
    "networks": networks,
    "models": models,
    "same": same,
    "kernels": kernels,
    "objectives": objectives,
    "prediction": prediction,
    "private": private,
    "threads": threads,
    "batch": batch,
    "peers": peers,
    "suite": suite,
    "literature": literature,
    "counts-operations": lambda figures: counts(figures, "operations"),
    "counts-latency": lambda figures: counts(figures, "latency"),
    "plans": plans,
}


# Files.


def chart_of(name):
    return json.loads((ROOT / "docs" / f"{name}.json").read_text())


def chart(figures, name):
    """A chart's file with what is measured here taken from the figures.

    Of a row `plan` names the run that counts its operations and `run` the one that times it; a `peer` is a library
    that ran beside ours. Of a point `model` names our network. Everything else is published, and stays.
    """
    document = chart_of(name)
    for row in document.get("rows", []):
        if plan := row.get("plan"):
            row["values"][0] = figures.get(plan, "totals", "hops")
        if run := row.get("run"):
            row["values"][1] = round(figures.latency(run), 1)
        if library := row.get("peer"):
            row["values"][1] = round(of(figures.get("peers", "rows")[0], library, "latency_ms", "min"))
    for point in document.get("points", []):
        if model := point.get("model"):
            point["x"] = round(figures.latency(f"one/{model}"), 1)
            point["y"] = round(100 * figures.accuracy(model), 2)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def pages():
    listed = git("ls-files", "--cached", "--others", "--exclude-standard", "*.md").split()
    return [ROOT / name for name in sorted(set(listed)) if (ROOT / name).exists()]


def made_anew(figures):
    """Every file that shows figures, with what it should hold."""
    for name in CHARTS:
        yield ROOT / "docs" / f"{name}.json", chart(figures, name)
    for page in pages():
        text = page.read_text()
        if names := [name for _, name, _ in BLOCK.findall(text)]:
            if unknown := [name for name in names if table(figures, name) is None]:
                sys.exit(f"{page.relative_to(ROOT)}: no figures are called {', '.join(sorted(unknown))}")
            anew = lambda block: block.group(1) + table(figures, block.group(2)) + block.group(3)
            yield page, BLOCK.sub(anew, text)


def wrong_cards(figures):
    """Cards of models, written by hand, that state another accuracy."""
    for model in MODELS:
        card = ROOT / "models" / f"{model}.md"
        if f"**{percent(figures.accuracy(model))}**" not in card.read_text():
            yield card


def check(figures):
    old = [path for path, text in made_anew(figures) if path.read_text() != text]
    old += wrong_cards(figures)
    shown = {name for page in pages() for _, name, _ in BLOCK.findall(page.read_text())}
    if unshown := set(figures.document["once"]) - shown:
        sys.exit(f"docs/figures.json: no page shows {', '.join(sorted(unshown))}")
    if old:
        print("\n".join(str(path.relative_to(ROOT)) for path in old))
        sys.exit("figures differ from docs/figures.json: cargo xtask figures --write (cards are written by hand)")
    once = len(figures.document["once"])
    print(f"{len(figures.runs)} runs and {once} tables measured once in docs/figures.json: tables and charts agree")


def write(figures):
    for path, text in made_anew(figures):
        if path.read_text() != text:
            path.write_text(text)
            print(path.relative_to(ROOT), file=sys.stderr)
    for name in CHARTS:
        files = [f"docs/{name}.json", "--out", f"docs/{name}.svg"]
        if BINARY.exists():
            subprocess.run([BINARY, "chart", *files], cwd=ROOT, check=True, stdout=sys.stderr)
        else:
            print(f"to be drawn once there is a binary: blindsight chart {' '.join(files)}", file=sys.stderr)


def save(figures):
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    # Lists and objects of a few numbers on one line each.
    text = re.sub(r"\{\s+((?:\"\w+\": [-\d.e]+,?\s+)+)\}", lambda m: "{" + " ".join(m.group(1).split()) + "}", text)
    # Rows of cells, too.
    text = re.sub(r'\[\s+("(?:[^"\\]|\\.)*"(?:,\s+"(?:[^"\\]|\\.)*")*)\s+\]', one_line, text)
    FILE.write_text(text)


def one_line(match):
    return json.dumps(json.loads(match.group(0)), ensure_ascii=False)


def main():
    global BINARY
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="measure the runs that begin so, anew")
    parser.add_argument("--again", action="store_true", help="measure also what is known of this commit and machine")
    parser.add_argument("--binary", type=Path, default=BINARY, help="blindsight (default: target/release/blindsight)")
    kinds = parser.add_mutually_exclusive_group()
    for name, does in [("--check", "compare only"), ("--write", "write tables only"), ("--list", "list the runs")]:
        kinds.add_argument(name, action="store_true", help=does)
    arguments = parser.parse_args()
    BINARY = arguments.binary.resolve()
    document = json.loads(FILE.read_text())
    if arguments.check:
        return check(Figures(document))
    if arguments.list:
        for name, command in runs():
            known = document["runs"].get(name, {})
            print(f"{name:28} {known.get('commit', '-'):8} {known.get('date', '-'):10} {shown(command)}")
        for name, kept in document["once"].items():
            print(f"{name:28} {'once':8} {kept['date']:10} {kept['command']}")
        return
    if not arguments.write:
        measure_all(document, arguments.only, arguments.again)
    write(Figures(document))


if __name__ == "__main__":
    main()
