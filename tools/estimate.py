#!/usr/bin/env python3
"""What the primal attack costs against a plan's ring, in plain Python; and the lattice estimator, where Sage is.

    blindsight explain cryptonets-mnist --json | python3 tools/estimate.py -
    python3 tools/estimate.py --blindsight target/release/blindsight   # every shipped plan
    python3 tools/estimate.py --self-test                              # against published figures
    sage -python tools/estimate.py --estimator plan.json               # malb/lattice-estimator, if importable

Reads `ring_degree` and `log_qp` of `explain --json`. LWE of that dimension modulo QP, with as many samples as the
attack likes, secret uniform in {-1, 0, 1}, error of deviation 3.19.

The attack embeds LWE into a unique shortest vector problem, secrets scaled to the size of errors (Bai and
Galbraith, ia.cr/2013/839), and needs the block size b for which

    sigma sqrt(b) <= delta(b)^(2 b - d - 1) (q^m nu^n)^(1 / d),   d = m + n + 1,   nu = sigma / sigma_secret

(Alkim, Ducas, Poeppelmann and Schwabe, ia.cr/2015/1092, section 6.3; Albrecht, Goepfert, Virdia and Wunderer,
ia.cr/2017/815). A call of the sieve in dimension b costs 2^(0.292 b) classically (Becker, Ducas, Gama and Laarhoven,
2016) and 2^(0.265 b) on a quantum computer (Laarhoven). *Core-SVP* counts one call and nothing else. *BDGL16* is what
the lattice estimator and the tables of ia.cr/2024/463 count: 8 d calls at 2^(0.292 b + 16.4) (ia.cr/2015/046;
ia.cr/2018/331). Dual and hybrid attacks are not estimated here.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys

SIGMA = 3.19
TERNARY = math.sqrt(2 / 3)
# (name, n, q, deviation of error and secret, samples at most, block size)
PUBLISHED = [
    # ia.cr/2015/1092, table 1.
    ("JarJar", 512, 12289, math.sqrt(12), 1024, 449),
    ("NewHope", 1024, 12289, math.sqrt(8), 2048, 967),
    # malb/lattice-estimator's README, estimate.rough(schemes.Kyber512): usvp, 2^118.6.
    ("Kyber512", 512, 3329, math.sqrt(1.5), 512, 406),
]


def log2_delta(b):
    """log2 of the root Hermite factor that BKZ of this block size reaches."""
    return math.log2((math.pi * b) ** (1 / b) * b / (2 * math.pi * math.e)) / (2 * (b - 1))


def excess(b, m, n, log_q, sigma, secret):
    """By how many bits the target is shorter than what is found in its place: not negative where the attack works."""
    d = m + n + 1
    volume = (m * log_q + n * math.log2(sigma / secret)) / d
    return (2 * b - d - 1) * log2_delta(b) + volume - math.log2(sigma * math.sqrt(b))


def best_samples(b, n, log_q, sigma, secret, most):
    """How many samples suit a block size best: the excess has one maximum in them."""
    low, high = 1, most
    while high - low > 2:
        third = (high - low) // 3
        left, right = low + third, high - third
        if excess(b, left, n, log_q, sigma, secret) < excess(b, right, n, log_q, sigma, secret):
            low = left
        else:
            high = right
    return max(range(low, high + 1), key=lambda m: excess(b, m, n, log_q, sigma, secret))


def primal(n, log_q, sigma=SIGMA, secret=TERNARY, most=None):
    """The least block size for which the attack works, and the dimension of its lattice."""
    most = most or 4 * n
    low, high = 60, 2 * n
    while low < high:
        b = (low + high) // 2
        m = best_samples(b, n, log_q, sigma, secret, most)
        if excess(b, m, n, log_q, sigma, secret) >= 0:
            high = b
        else:
            low = b + 1
    return low, best_samples(low, n, log_q, sigma, secret, most) + n + 1


def figures(n, log_qp):
    """Bits by every way of counting."""
    b, d = primal(n, log_qp)
    return {
        "block_size": b,
        "dimension": d,
        "core_svp_classical": round(0.292 * b, 1),
        "core_svp_quantum": round(0.265 * b, 1),
        "bdgl16_classical": round(0.292 * b + 16.4 + math.log2(8 * d), 1),
        "bdgl16_quantum": round(0.265 * b + 16.4 + math.log2(8 * d), 1),
    }


def self_test():
    """Holds the estimate against published block sizes, and against the tables of ia.cr/2024/463."""
    for name, n, q, sigma, most, published in PUBLISHED:
        b, d = primal(n, math.log2(q), sigma, sigma, most)
        print(f"{name:8} block size {b}, dimension {d}; published {published}")
        if abs(b - published) > 2:
            sys.exit(f"{name}: a block size of {b} is not what is published")
    # Tables are made with BDGL16: what they grant 128 bits must come to that and not to much more.
    for n, log_qp in [(8192, 214), (16384, 430), (32768, 868)]:
        bits = figures(n, log_qp)["bdgl16_classical"]
        print(f"N = {n:5}, log2(QP) = {log_qp}: {bits} bits")
        if not 126 <= bits <= 136:
            sys.exit(f"degree {n}: {bits} bits where the table says 128")


def estimator(plan):
    """The lattice estimator's own figures. Runs inside Sage, with malb/lattice-estimator importable."""
    from estimator import LWE, ND  # pylint: disable=import-error, import-outside-toplevel

    modulus = 2 ** int(round(plan["log_qp"]))
    distribution = {"Xs": ND.Uniform(-1, 1), "Xe": ND.DiscreteGaussian(SIGMA)}
    return LWE.estimate(LWE.Parameters(n=plan["ring_degree"], q=modulus, **distribution))


def shipped(blindsight):
    """What `explain --json` says of every shipped model, default plans and private ones."""
    names = sorted(path.stem for path in (pathlib.Path(__file__).parent.parent / "models").glob("*.onnx"))
    for name, reply in [(name, reply) for name in names for reply in ("clean", "private")]:
        command = [blindsight, "explain", name, "--json", "--reply", reply]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = json.loads(done.stdout or "{}")
        if "ring_degree" in said:
            yield said
        else:
            print(f"{name}, {reply} reply: no plan", file=sys.stderr)


def main():
    """Reads plans, and prints a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("plans", nargs="*", help="documents of `explain --json`, or - for standard input")
    parser.add_argument("--blindsight", help="the binary: estimates every shipped plan")
    parser.add_argument("--estimator", action="store_true", help="ask malb/lattice-estimator (Sage)")
    parser.add_argument("--self-test", action="store_true", help="compare with published figures")
    arguments = parser.parse_args()
    if arguments.self_test:
        self_test()
        return
    documents = [json.load(sys.stdin if path == "-" else open(path, encoding="utf-8")) for path in arguments.plans]
    for plan in documents + list(shipped(arguments.blindsight) if arguments.blindsight else []):
        row = {name: plan.get(name) for name in ("model", "reply", "ring_degree", "log_qp", "security_bits")}
        if arguments.estimator:
            print(json.dumps(row), estimator(plan))
        else:
            print(json.dumps(row | figures(plan["ring_degree"], plan["log_qp"])), flush=True)


if __name__ == "__main__":
    main()
