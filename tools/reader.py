#!/usr/bin/env python3
"""Reads Blindsight's files without Blindsight: written from docs/formats.md alone, with numpy.

    python3 tools/reader.py --plan net.plan --secret my.secret [--keys my.keys] [--request digit.enc]
                            [--reply digit.reply] [--exact-scores]

Checks frames, digests, distributions and evaluation keys, and decrypts. Prints one JSON document; ends with 1
where something is not as the page says. It is a second opinion, not a client: it is neither fast nor constant-time.
"""

import argparse
import hashlib
import json
import math
import struct
import sys

import numpy as np

KINDS = {1: "plan", 2: "secret key", 3: "evaluation keys", 4: "ciphertexts", 5: "reply", 6: "public plan"}


class Wrong(Exception):
    """A file that is not as the page says."""


def expect(condition, what):
    """Raises where a condition does not hold."""
    if not condition:
        raise Wrong(what)


# Frames


def open_frame(path, *kinds):
    """The kind, plan digest, key and payload of a file, its checksum checked."""
    data = open(path, "rb").read()
    expect(len(data) >= 100 and data[:8] == b"BLINDSGT", f"{path}: no frame")
    version, kind = struct.unpack_from("<HH", data, 8)
    (length,) = struct.unpack_from("<Q", data, 60)
    expect(version == 2 and kind in kinds, f"{path}: version {version}, {KINDS.get(kind, kind)}")
    expect(len(data) == 100 + length, f"{path}: {len(data)} bytes, {100 + length} announced")
    expect(hashlib.sha256(data[:-32]).digest() == data[-32:], f"{path}: checksum")
    return kind, data[12:44], data[44:60], data[68:-32]


# Plans


class Postcard:
    """A reader of postcard's encoding."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        """The next bytes."""
        self.at += count
        expect(self.at <= len(self.data), "the plan ends early")
        return self.data[self.at - count : self.at]

    def integer(self):
        """A varint."""
        value, shift = 0, 0
        while True:
            (byte,) = self.take(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def number(self):
        """An f64."""
        return struct.unpack("<d", self.take(8))[0]

    def text(self):
        """A string."""
        return self.take(self.integer()).decode()

    def option(self, read):
        """None, or what is read."""
        return read() if self.take(1)[0] else None

    def list(self, read):
        """So many of what is read."""
        return [read() for _ in range(self.integer())]

    def integers(self, count):
        """A tuple of integers."""
        return [self.integer() for _ in range(count)]


def read_layout(p):
    """A tensor's layout."""
    layout = {"shape": p.integers(3), "slots": p.integer(), "ciphertexts": p.integer()}
    layout["digits"] = p.list(lambda: p.integers(3))
    layout["one"] = p.option(p.integer)
    layout["blocks"] = p.integers(3)
    return layout


def read_input(p):
    """How an image is written."""
    variant = p.integer()
    if variant == 0:
        names = ["kernel", "stride", "dilation", "before"]
        windows = {"kind": "windows", "shape": p.integers(3), "groups": p.integer()}
        windows.update({name: p.integers(2) for name in names})
        windows["taps"] = p.list(p.integer)
        windows["output"] = read_layout(p)
        return windows
    if variant == 1:
        layout = read_layout(p)
        return {"kind": "image", "shape": layout["shape"], "output": layout}
    expect(variant == 2, "an unknown kind of input")
    return {"kind": "batch", "shape": p.integers(3), "slots": p.integer()}


def read_reply_layout(p):
    """How scores are read."""
    form = p.integer()
    count = {0: 0, 1: 2, 2: 1, 3: 0}[form]
    reply = {"form": form, "figures": p.integers(count)}
    for name in ["scores", "sentinels", "coarse"]:
        reply[name] = p.list(p.integer)
    for name in ["divisor", "scale", "capacity"]:
        reply[name] = p.number()
    return reply


def read_plan(path):
    """The public part of a plan and its digest, which is checked."""
    kind, digest, _, payload = open_frame(path, 1, 6)
    private, encoded = (payload[:32], payload[32:]) if kind == 6 else (None, payload)
    p = Postcard(encoded)
    plan = {name: p.text() for name in ["model", "representation", "objective", "reply_kind"]}
    plan["degree"], plan["moduli"], plan["special"] = p.integer(), p.list(p.integer), p.list(p.integer)
    plan["digit_limbs"] = p.integer()
    plan["input"] = read_input(p)
    plan["input_level"], plan["input_scale"] = p.integer(), p.number()
    plan["mean"], plan["std"] = p.list(p.number), p.list(p.number)
    plan["input_range"] = [p.number(), p.number()]
    plan["labels"], plan["output"], plan["score_bound"] = p.list(p.text), p.integer(), p.number()
    plan["relinearisation"] = p.option(p.integer)
    plan["rotations"] = p.list(lambda: p.integers(2))
    plan["reply"] = read_reply_layout(p)
    plan["predicted_error"] = p.number()
    public, rest = encoded[: p.at], encoded[p.at :]
    if kind == 1:
        private = hashlib.sha256(rest).digest()
    parts = b"blindsight plan 2" + hashlib.sha256(public).digest() + private
    expect(hashlib.sha256(parts).digest() == digest, "the plan's digest is not its own")
    return plan, digest


# Words and polynomials


def unpack(data, q, count):
    """A run of words modulo q, and how many bytes it takes."""
    bits = (q - 1).bit_length()
    size = (count * bits + 7) // 8
    stream = np.unpackbits(np.frombuffer(data[:size], np.uint8), bitorder="little")[: count * bits]
    words = stream.reshape(count, bits).astype(np.int64) @ (1 << np.arange(bits, dtype=np.int64))
    expect(int(words.max(initial=0)) < q, "a word that is no residue")
    return words, size


def expand(seed, q, count):
    """The residues that a seed stands for: ChaCha20 with the prime as its stream number."""
    residues, block = [], 0
    while sum(map(len, residues)) < count:
        words = chacha(seed, q, np.arange(block, block + 1024, dtype=np.uint64))
        residues.append(words[words < q * (2**32 // q)].astype(np.int64) % q)
        block += 1024
    return np.concatenate(residues)[:count]


def chacha(key, stream, blocks):
    """The key stream's words of these blocks, in order."""
    with np.errstate(over="ignore"):
        start = [np.full(len(blocks), word, np.uint32) for word in struct.unpack("<12I", b"expand 32-byte k" + key)]
        start += [(blocks & 0xFFFFFFFF).astype(np.uint32), (blocks >> np.uint64(32)).astype(np.uint32)]
        start += [np.full(len(blocks), word, np.uint32) for word in (stream & 0xFFFFFFFF, stream >> 32)]
        state = [word.copy() for word in start]
        for _ in range(10):
            for a, b, c, d in [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]:
                quarter(state, a, b, c, d)
            for a, b, c, d in [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]:
                quarter(state, a, b, c, d)
        return np.stack([s + t for s, t in zip(start, state)], axis=1).reshape(-1)


def quarter(state, a, b, c, d):
    """ChaCha's quarter round."""
    for x, y, z, turn in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]:
        state[x] = state[x] + state[y]
        mixed = state[z] ^ state[x]
        state[z] = (mixed << np.uint32(turn)) | (mixed >> np.uint32(32 - turn))


class Prime:
    """The transform modulo one prime."""

    def __init__(self, q, degree):
        self.q, self.n = q, degree
        self.zeta = least_root(q, 4 * degree)
        self.powers = powers(self.zeta, degree, q)
        self.imaginary = pow(self.zeta, degree, q)
        bits = degree.bit_length() - 1
        self.order = np.array([int(f"{t:0{bits}b}"[::-1], 2) for t in range(degree)])

    def values(self, coefficients):
        """Coefficients to values, in the order of the page."""
        a = np.asarray(coefficients, np.int64) % self.q
        folded = a.copy()
        folded[1:] = (a[1:] - self.imaginary * a[:0:-1]) % self.q
        spectrum = self.dft(folded * self.powers % self.q, pow(self.zeta, 4, self.q))
        return spectrum[self.order]

    def coefficients(self, values):
        """Values to coefficients in [0, q)."""
        spectrum = np.empty(self.n, np.int64)
        spectrum[self.order] = values
        twisted = self.dft(spectrum, pow(self.zeta, -4, self.q)) * pow(self.n, -1, self.q) % self.q
        b = twisted * powers(pow(self.zeta, -1, self.q), self.n, self.q) % self.q
        a = b.copy()
        a[1:] = (b[1:] + self.imaginary * b[:0:-1]) % self.q * pow(2, -1, self.q) % self.q
        return a

    def dft(self, x, root):
        """The sums of x_j root^(j k)."""
        x, half = x[self.order], 1
        all_powers = powers(root, self.n // 2, self.q)
        while half < self.n:
            x = x.reshape(-1, 2, half)
            odd = x[:, 1] * all_powers[:: self.n // 2 // half] % self.q
            x = np.stack([(x[:, 0] + odd) % self.q, (x[:, 0] - odd) % self.q], axis=1)
            half *= 2
        return x.reshape(-1)

    def plain(self, factor):
        """Factor form to values."""
        return factor * pow(2**32, -1, self.q) % self.q

    def centred(self, residues):
        """Residues to integers around zero."""
        return np.where(residues > self.q // 2, residues - self.q, residues)


def powers(x, count, q):
    """1, x, x^2, ... modulo q."""
    result = np.ones(1, np.int64)
    while len(result) < count:
        result = np.concatenate([result, result * pow(x, len(result), q) % q])
    return result[:count]


def least_root(q, order):
    """The least primitive root of unity of this order, a power of two."""
    generator = next(g for g in range(2, q) if pow(g, (q - 1) // 2, q) == q - 1)
    root = pow(generator, (q - 1) // order, q)
    square = root * root % q
    # All primitive roots are its odd powers.
    odd = powers(square, order // 2, q) * root % q
    return int(odd.min())


def to_slots(coefficients):
    """The real slots of a polynomial: its values at exp(2 pi i 5^j / 4N)."""
    n = len(coefficients)
    a = np.asarray(coefficients, float)
    folded = a.astype(complex)
    folded[1:] -= 1j * a[:0:-1]
    twist = np.exp(2j * np.pi * np.arange(n) / (4 * n))
    spectrum = np.fft.ifft(folded * twist) * n
    exponents, e = [], 1
    for _ in range(n):
        exponents.append(e // 4)
        e = e * 5 % (4 * n)
    return spectrum[exponents].real


# Files


class Reader:
    """What a plan's files say."""

    def __init__(self, plan, digest):
        self.plan, self.digest, self.n = plan, digest, plan["degree"]
        self.primes = [Prime(q, self.n) for q in plan["moduli"]]
        self.special = [Prime(q, self.n) for q in plan["special"]]

    def open(self, path, kind, key=None):
        """A file of this plan, and of this key where it is known."""
        _, digest, own, payload = open_frame(path, kind)
        expect(digest == self.digest, f"{path}: of another plan")
        expect(key is None or own == key, f"{path}: of another key")
        return own, payload

    def read_secret(self, path):
        """The secret key."""
        self.key, payload = self.open(path, 2)
        expect(len(payload) == self.n // 4, "length of the secret key")
        pairs = np.unpackbits(np.frombuffer(payload, np.uint8), bitorder="little").reshape(-1, 2)
        self.secret = (pairs[:, 0] + 2 * pairs[:, 1]).astype(np.int64) - 1
        expect(int(self.secret.max()) <= 1, "a coefficient of the secret that is 2")
        shares = [float(np.mean(self.secret == v)) for v in (-1, 0, 1)]
        allowed = 6 * math.sqrt(2 / 9 / self.n)
        expect(all(abs(share - 1 / 3) < allowed for share in shares), f"shares of -1, 0, 1 are {shares}")
        return {"key": self.key.hex(), "shares": shares}

    def check_error(self, error, what):
        """The deviation of an error polynomial, which must be near 3.19."""
        rest = error[1:]
        expect(int(np.abs(error).max()) < 45, f"{what}: an error of {int(np.abs(error).max())}")
        deviation = float(np.sqrt(np.mean(rest.astype(float) ** 2)))
        expect(abs(deviation / 3.19 - 1) < 6 / math.sqrt(2 * self.n), f"{what}: errors deviate by {deviation}")
        return deviation

    def read_keys(self, path):
        """Checks every evaluation key against its equation."""
        _, payload = self.open(path, 3, self.key)
        wanted = [] if self.plan["relinearisation"] is None else [(None, self.plan["relinearisation"])]
        wanted += [tuple(rotation) for rotation in self.plan["rotations"]]
        at, deviations = 0, []
        for steps, level in wanted:
            width = self.plan["digit_limbs"]
            for digit in range(-(-(level + 1) // width)):
                own = range(digit * width, min((digit + 1) * width, level + 1))
                error, size = self.key_error(payload[at:], steps, level, own)
                deviations.append(self.check_error(error, f"key {steps}, digit {digit}"))
                at += size
        expect(at == len(payload), "length of the evaluation keys")
        return {"keys": len(wanted), "digits": len(deviations), "deviation": float(np.mean(deviations))}

    def key_error(self, data, steps, level, own):
        """b + a t - P g f of one digit, the same modulo all primes; and how many bytes it took."""
        seed, at, errors = data[:32], 32, []
        product = math.prod(self.plan["special"])
        for index, prime in enumerate(self.primes[: level + 1] + self.special):
            words, size = unpack(data[at:], prime.q, self.n)
            at += size
            s = prime.values(self.secret)
            t = s if steps is None else self.rotated(s, prime, self.n - steps)
            f = s * s % prime.q if steps is None else s
            error = prime.plain(words) + prime.plain(expand(seed, prime.q, self.n)) * t
            if index in own and index <= level:
                error = error - product % prime.q * f
            errors.append(prime.centred(prime.coefficients(error % prime.q)))
        expect(all(np.array_equal(errors[0], other) for other in errors), "errors differ between primes")
        return errors[0], at

    def rotated(self, values, prime, steps):
        """X to X^(5^steps): the value at each exponent is that at its product with 5^steps."""
        exponent = (1 + 4 * prime.order) * pow(5, steps, 4 * self.n) % (4 * self.n)
        by_k = np.empty(self.n, np.int64)
        by_k[prime.order] = values
        return by_k[exponent // 4]

    def read_request(self, path):
        """Decrypts the input ciphertexts to slots."""
        _, payload = self.open(path, 4, self.key)
        at, slots = 0, []
        while at < len(payload):
            seed, residues = payload[at : at + 32], []
            at += 32
            for prime in self.primes[: self.plan["input_level"] + 1]:
                words, size = unpack(payload[at:], prime.q, self.n)
                at += size
                message = (words + expand(seed, prime.q, self.n) * prime.values(self.secret)) % prime.q
                residues.append(prime.coefficients(message))
            slots.append(to_slots(self.lifted(residues) / self.plan["input_scale"]))
        return np.array(slots)

    def lifted(self, residues):
        """Small integers from their residues modulo the first two primes, or one."""
        if len(residues) == 1:
            return self.primes[0].centred(residues[0]).astype(float)
        p, q = self.primes[0].q, self.primes[1].q
        high = (residues[1] - residues[0]) % q * pow(p, -1, q) % q
        value = residues[0] + p * high
        return np.where(value > p * q // 2, value - p * q, value).astype(float)

    def indices(self):
        """The coefficients that each ciphertext of a reply carries."""
        reply = self.plan["reply"]
        form, figures = reply["form"], reply["figures"]
        if form == 0:
            return reply["scores"] + reply["sentinels"] + reply["coarse"]
        if form == 1:
            return [j * (figures[1] // figures[0]) for j in range(figures[0])]
        return list(range(figures[0])) if form == 2 else [0, 1, 2, 3]

    def read_reply(self, path):
        """The coefficients of each ciphertext of a reply, in real units."""
        _, payload = self.open(path, 5, self.key)
        prime, indices = self.primes[0], self.indices()
        at, decrypted = 0, []
        secret = prime.values(self.secret)
        while at < len(payload):
            second, size = unpack(payload[at:], prime.q, self.n)
            at += size
            first, size = unpack(payload[at:], prime.q, len(indices))
            at += size
            masked = prime.coefficients(second * secret % prime.q)[indices]
            decrypted.append(prime.centred((first + masked) % prime.q) / self.plan["reply"]["scale"])
        return decrypted

    def scores(self, decrypted):
        """The scores of a reply to one image; raises where a client would refuse it."""
        reply = self.plan["reply"]
        form, count = reply["form"], len(reply["scores"])
        capacity = reply["capacity"]
        if form == 2:
            return [float(to_slots(ciphertext)[0]) for ciphertext in decrypted]
        if form == 3:
            sentinels = np.concatenate([ciphertext[1:] for ciphertext in decrypted])
            expect(np.abs(sentinels).max() <= capacity / 2048, "other keys")
            scores = [float(ciphertext[0]) for ciphertext in decrypted]
            expect(max(map(abs, scores)) <= capacity / 8, "out of range")
            return scores
        values = to_slots(decrypted[0]) if form == 1 else decrypted[0]
        copies = values[len(values) - count :]
        expect(np.abs(values[count : len(values) - count]).max() <= capacity / 256, "other keys")
        expect(np.abs(values[:count] - 64 * copies).max() <= 65 * capacity / 256, "out of range")
        return [float(v) for v in values[:count]]

    def rounded(self, score):
        """A score as a client shows it."""
        division = math.sqrt((1 + 4 * self.n / 3) / 12) / self.plan["reply"]["scale"]
        error = max(self.plan["predicted_error"], division)
        power = math.floor(math.log10(error))
        step = next(f for f in (1, 2, 5, 10) if f * 10.0**power >= error) * 10.0**power
        return round(round(score / step) * step, max(0, -power))


def main():
    """Reads what is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    for name, needed in [("plan", True), ("secret", True), ("keys", False), ("request", False), ("reply", False)]:
        parser.add_argument(f"--{name}", required=needed)
    parser.add_argument("--exact-scores", action="store_true")
    arguments = parser.parse_args()
    plan, digest = read_plan(arguments.plan)
    reader = Reader(plan, digest)
    report = {"model": plan["model"], "digest": digest.hex(), "secret": reader.read_secret(arguments.secret)}
    if arguments.keys:
        report["keys"] = reader.read_keys(arguments.keys)
    if arguments.request:
        slots = reader.read_request(arguments.request)
        report["request"] = {"ciphertexts": len(slots), "least": float(slots.min()), "largest": float(slots.max())}
    if arguments.reply:
        scores = reader.scores(reader.read_reply(arguments.reply))
        # One score for two classes is that of the second one, beside a first one of zero.
        by_class = [0.0, *scores] if len(scores) < len(plan["labels"]) else scores
        report["label"] = plan["labels"][int(np.argmax(by_class))]
        report["scores"] = scores if arguments.exact_scores else [reader.rounded(score) for score in scores]
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"error: {wrong}")
