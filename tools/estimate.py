#!/usr/bin/env python3
"""What attacks on a plan's ring cost: formulas in plain Python; and the lattice estimator, which needs Sage.

    blindsight explain cryptonets-mnist --json | python3 tools/estimate.py -
    python3 tools/estimate.py --blindsight target/release/blindsight   # every shipped plan
    python3 tools/estimate.py --table                                  # shipped rings, and all that are allowed
    python3 tools/estimate.py --self-test                              # against published figures
    .../python tools/estimate.py --estimator CHECKOUT ...              # any of these with the estimator's figures

Reads `ring_degree` and `log_qp` of `explain --json`. LWE of that dimension modulo QP, with as many samples as the
attack likes, secret uniform in {-1, 0, 1}, error of deviation 3.19.

The attack embeds LWE into a unique shortest vector problem, secrets scaled to the size of errors (Bai and
Galbraith, ia.cr/2013/839), and needs the block size b for which

    sigma sqrt(b) <= delta(b)^(2 b - d - 1) (q^m nu^n)^(1 / d),   d = m + n + 1,   nu = sigma / sigma_secret

(Alkim, Ducas, Poeppelmann and Schwabe, ia.cr/2015/1092, section 6.3; Albrecht, Goepfert, Virdia and Wunderer,
ia.cr/2017/815). A call of the sieve in dimension b costs 2^(0.292 b) classically (Becker, Ducas, Gama and Laarhoven,
2016) and 2^(0.265 b) on a quantum computer (Laarhoven). *Core-SVP* counts one call and nothing else. *BDGL16* is what
the tables of ia.cr/2024/463 and the lattice estimator's model of that name count: 8 d calls at 2^(0.292 b + 16.4)
(ia.cr/2015/046; ia.cr/2018/331). Dual and hybrid attacks are not in these formulas.

`--estimator CHECKOUT` asks the lattice estimator beside them. CHECKOUT is a clone of
https://github.com/malb/lattice-estimator at the commit below (others may give other figures), and Python one that
has Sage: `sage -python`, or wheels from PyPI,

    python3 -m venv sage && sage/bin/pip install passagemath-standard-no-symbolics passagemath-symbolics

The attacks are uSVP, BDD, and the dual hybrid attack (`LWE.dual_hybrid`, that of MATZOV); the models of what lattice
reduction costs are the estimator's default (MATZOV), BDGL16, and, for quantum computers, LaaMosPol14, all three
with the calls that reduction needs, and ChaLoy21, which counts one call and nothing else.
"""

import argparse
import json
import math
import pathlib
import re
import subprocess
import sys

COMMIT = "12b7730000d43b48414d993e4a036120748c828c"
ROOT = pathlib.Path(__file__).resolve().parent.parent
# The rings of the shipped plans, (N, log2(QP)): `--blindsight` says which plan has which.
SHIPPED = [(8192, 214), (4096, 88.2), (16384, 422), (16384, 266), (32768, 634)]
SHIPPED += [(16384, 414), (16384, 430), (16384, 314), (32768, 847), (32768, 586)]
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


class Estimator:
    """The lattice estimator, from a checkout. Needs a Python that has Sage."""

    def __init__(self, checkout):
        sys.path.insert(0, checkout)
        try:
            from estimator import LWE, ND, RC  # pylint: disable=import-error, import-outside-toplevel
        except ImportError as error:
            sys.exit(f"{checkout}: {error}. See the head of {__file__} for what to install")
        self.lwe, self.distributions = LWE, ND
        self.attacks = {"usvp": LWE.primal_usvp, "bdd": LWE.primal_bdd, "dual_hybrid": LWE.dual_hybrid}
        self.models = {"matzov": RC.MATZOV, "bdgl16": RC.BDGL16, "laamospol14": RC.LaaMosPol14}
        self.models["chaloy21_core_svp"] = RC.ChaLoy21

    def parameters(self, n, q):
        """LWE as the rings here have it."""
        distributions = {"Xs": self.distributions.Uniform(-1, 1), "Xe": self.distributions.DiscreteGaussian(SIGMA)}
        return self.lwe.Parameters(n=n, q=q, **distributions)

    @staticmethod
    def cost(attack, parameters, model):
        """Bits, and the block size."""
        found = attack(parameters, red_cost_model=model)
        return round(math.log2(found["rop"]), 2), int(found["beta"])

    def figures(self, n, log_qp):
        """Bits and block size of every attack by every model."""
        whole = math.floor(log_qp)
        q = round(2 ** (log_qp - whole) * 2**32) << whole >> 32
        parameters = self.parameters(n, q)
        rows = {}
        for name, model in self.models.items():
            rows[name] = {attack: self.cost(call, parameters, model) for attack, call in self.attacks.items()}
        return rows

    def self_test(self):
        """Holds this installation against figures in the estimator's own documentation."""
        binomial = self.distributions.CenteredBinomial
        kyber = self.lwe.Parameters(n=512, q=3329, Xs=binomial(3), Xe=binomial(3), m=512)
        # Its schemes.SEAL22_8192: an error and a secret distributed as ours.
        seal = self.parameters(8192, 107839786668602559178668060348078522694548577690162289924414373888001)
        documented = [
            ("usvp", kyber, "Kyber512", (143.8, 406)),
            ("bdd", kyber, "Kyber512", (140.2, 389)),
            ("dual_hybrid", kyber, "Kyber512", (139.7, 387)),
            ("dual_hybrid", seal, "SEAL22_8192", (121.8, 306)),
        ]
        for attack, parameters, name, wanted in documented:
            bits, b = self.cost(self.attacks[attack], parameters, self.models["matzov"])
            print(f"estimator: {name} {attack}: {bits} bits, block size {b}; documented {wanted}")
            if (round(bits, 1), b) != wanted:
                sys.exit("the installation does not give what the estimator's documentation says")


def allowed():
    """The largest `log2(QP)` by the table in the code, and what it grants, where that is not a shipped ring."""
    source = (ROOT / "crates/ckks/src/parameters.rs").read_text(encoding="utf-8")
    rows = re.findall(r"\((\d+), \[([\d.]+), ([\d.]+), ([\d.]+)\]\)", source)
    for column, bits in enumerate((128, 192, 256), start=1):
        for row in rows:
            ring = int(row[0]), float(row[column])
            if ring[1] and ring not in SHIPPED:
                yield {"ring_degree": ring[0], "log_qp": ring[1], "security_bits": bits}


def shipped(blindsight):
    """What `explain --json` says of every shipped model, default plans and private ones."""
    names = sorted(path.stem for path in (ROOT / "models").glob("*.onnx"))
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
    parser.add_argument("--table", action="store_true", help="every ring of SECURITY.md, and the largest allowed")
    parser.add_argument("--estimator", metavar="CHECKOUT", help="ask malb/lattice-estimator there, too (Sage)")
    parser.add_argument("--self-test", action="store_true", help="compare with published figures")
    arguments = parser.parse_args()
    estimator = Estimator(arguments.estimator) if arguments.estimator else None
    if arguments.self_test:
        self_test()
        if estimator:
            estimator.self_test()
        return
    documents = [json.load(sys.stdin if path == "-" else open(path, encoding="utf-8")) for path in arguments.plans]
    if arguments.table:
        documents += [{"ring_degree": n, "log_qp": log_qp, "security_bits": 128} for n, log_qp in SHIPPED]
        documents += allowed()
    for plan in documents + list(shipped(arguments.blindsight) if arguments.blindsight else []):
        names = ("model", "reply", "ring_degree", "log_qp", "security_bits")
        row = {name: plan[name] for name in names if name in plan}
        row |= figures(plan["ring_degree"], plan["log_qp"])
        if estimator:
            row["estimator"] = estimator.figures(plan["ring_degree"], plan["log_qp"])
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
