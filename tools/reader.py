#!/usr/bin/env python3
"""Reads Blindsight's files without Blindsight: written from docs/formats.md alone, with numpy.

    python3 tools/reader.py --plan net.plan --secret my.secret [--keys my.keys] [--request digit.enc]
                            [--image digit.png] [--reply digit.reply] [--exact-scores]

Checks frames, digests, distributions and evaluation keys, and decrypts; with the image, also that the
request holds it where the page says, under errors as the page says. Prints one JSON document; ends with 1
where something is not as the page says. It is a second opinion, not a client: it is neither fast nor
constant-time.
"""

import argparse
import hashlib
import json
import math
import struct
import sys
import zlib

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
    count = {0: 0, 1: 2, 2: 1, 3: 0, 4: 2}[form]
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
    plan["public"] = p.option(p.integer)
    plan["reply"] = read_reply_layout(p)
    plan["predicted_error"], plan["security"] = p.number(), [128, 192, 256][p.integer()]
    plan["masking"] = p.option(lambda: p.integers(2))
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
        words = struct.unpack("<12I", b"expand 32-byte k" + key)
        start = [np.full(len(blocks), word, np.uint32) for word in words]
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


def from_slots(slots):
    """The polynomial with these slots, the inverse of `to_slots`."""
    n = len(slots)
    spectrum, exponent = np.empty(n), 1
    for value in slots:
        spectrum[exponent // 4] = value
        exponent = exponent * 5 % (4 * n)
    twist = np.exp(-2j * np.pi * np.arange(n) / (4 * n))
    b = np.fft.fft(spectrum) / n * twist
    a = b.copy()
    a[1:] = (b[1:] + 1j * b[:0:-1]) / 2
    return a.real


def expect_uniform(words, q, what):
    """Pearson's test of words that should be uniform below q, over 64 classes: six deviations are allowed."""
    counts = np.bincount(words * 64 // q, minlength=64)
    sizes = np.diff([-(-i * q // 64) for i in range(65)]) * len(words) / q
    statistic = float(((counts - sizes) ** 2 / sizes).sum())
    allowed = 6 * math.sqrt(2 * 63)
    expect(abs(statistic - 63) < allowed, f"{what}: words are not uniform ({statistic:.1f} of 63)")


# Images


def read_png(path):
    """Channels, height, width and pixels (in the order channel, row, column) of a PNG of 8 bits a channel."""
    data = open(path, "rb").read()
    expect(data[:8] == b"\x89PNG\r\n\x1a\n", f"{path}: no PNG")
    at, packed, header = 8, b"", None
    while at < len(data):
        (size,), name = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        chunk, at = data[at + 8 : at + 8 + size], at + 12 + size
        header = chunk if name == b"IHDR" else header
        packed += chunk if name == b"IDAT" else b""
    width, height, depth, colour, *_, interlaced = struct.unpack(">IIBBBBB", header)
    expect(depth == 8 and colour in (0, 2) and not interlaced, f"{path}: only grey or RGB of 8 bits")
    channels = 1 if colour == 0 else 3
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * channels)
    above = [0] * (width * channels)
    rows = []
    for line in lines.tolist():
        above = unfiltered(line[0], line[1:], above, channels)
        rows.append(above)
    pixels = np.array(rows).reshape(height, width, channels).transpose(2, 0, 1)
    return [channels, height, width], pixels.reshape(-1)


def unfiltered(kind, line, above, step):
    """A line of a PNG without its filter."""
    out = []
    for i, byte in enumerate(line):
        left, corner = (out[i - step], above[i - step]) if i >= step else (0, 0)
        estimate = left + above[i] - corner
        nearest = min((abs(estimate - v), i, v) for i, v in enumerate([left, above[i], corner]))[2]
        out.append((byte + [0, left, above[i], (left + above[i]) // 2, nearest][kind]) % 256)
    return out


def normalised(plan, pixels):
    """The network's input: pixels by the means and deviations of their channels, within the plan's range."""
    channels = plan["input"]["shape"][0]
    mean, std = (np.array(plan[name]).reshape(channels, 1) for name in ("mean", "std"))
    values = (pixels.reshape(channels, -1) / 255 - mean) / std
    return np.clip(values, *plan["input_range"]).reshape(-1)


def bases(layout):
    """The position in block 0 of each element, and of the one where there is any."""
    channels, height, width = layout["shape"]
    element = np.arange(channels * height * width)
    rest = [element // (height * width), element // width % height, element % width]
    position = np.zeros_like(element)
    for axis, count, stride in layout["digits"]:
        position += rest[axis] % count * stride
        rest[axis] = rest[axis] // count
    return position if layout["one"] is None else np.append(position, layout["one"])


def place(slots, layout, ciphertexts, positions, values, kind):
    """Writes values at their positions, in all blocks of a class, into the ciphertexts of the layout."""
    count, spacing, kinds = layout["blocks"]
    for block in range(kind, count, kinds):
        slot = (positions % layout["slots"] + block * spacing) % layout["slots"]
        slots[np.array(ciphertexts)[positions // layout["slots"]], slot] = values


def written(plan, values):
    """The slots of each ciphertext of a request that holds this input alone."""
    how = plan["input"]
    if how["kind"] == "batch":
        slots = np.zeros((len(values), how["slots"]))
        slots[:, 0] = values
        return slots
    layout = how["output"]
    if how["kind"] == "image":
        slots = np.zeros((layout["ciphertexts"], layout["slots"]))
        held = values if layout["one"] is None else np.append(values, 1.0)
        place(slots, layout, range(layout["ciphertexts"]), bases(layout), held, 0)
        return slots
    return written_windows(how, layout, values)


def written_windows(how, layout, values):
    """The slots of each ciphertext of a request whose ciphertexts hold what taps see."""
    kinds, taps = layout["blocks"][2], how["taps"]
    sources = shared(how, layout)
    slots = np.zeros((1 + max(map(max, sources)), layout["slots"]))
    ones = int(layout["one"] is not None)
    for number, ciphertexts in enumerate(sources):
        for kind in range(kinds):
            tap = number * kinds + kind
            if tap < len(taps):
                held = np.append(seen(how, layout, taps[tap], values), [1.0] * ones)
            else:
                elements = math.prod(layout["shape"]) + ones
                held = np.full(elements, float(tap == len(taps) and ones))
            place(slots, layout, ciphertexts, bases(layout), held, kind)
    return slots


def seen(how, layout, tap, values):
    """What a tap sees for each element of the output, in order."""
    channels, height, width = how["shape"]
    maps, rows, columns = layout["shape"]
    tall, wide = how["kernel"]
    o, y, x = np.meshgrid(np.arange(maps), np.arange(rows), np.arange(columns), indexing="ij")
    channel = o // (maps // how["groups"]) * (channels // how["groups"]) + tap // (tall * wide)
    row = y * how["stride"][0] + tap // wide % tall * how["dilation"][0] - how["before"][0]
    column = x * how["stride"][1] + tap % wide * how["dilation"][1] - how["before"][1]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    pixel = (channel * height + row.clip(0, height - 1)) * width + column.clip(0, width - 1)
    return np.where(inside, values[pixel], 0.0).reshape(-1)


def shared(how, layout):
    """For each group of taps, the ciphertext of the request that stands for each ciphertext of the output."""
    digits = [tuple(digit) for digit in layout["digits"]]
    slots, count = layout["slots"], layout["ciphertexts"]
    real = [digit for digit in digits if digit[1] > 1]
    across = [digit for digit in real if digit[2] >= slots]
    reach = sum((count - 1) * stride for _, count, stride in real if stride < slots)
    alike = how["groups"] == 1 and count > 1 and layout["blocks"][2] == 1 and layout["one"] is None
    alike = alike and reach < slots and all(stride % slots == 0 for _, _, stride in across)
    tall, wide = how["kernel"]

    def view(number, ciphertext):
        if not alike:
            return number, ciphertext
        tap, offsets = how["taps"][number], []
        for axis, k in ((1, tap // wide % tall), (2, tap % wide)):
            weight, further = 1, 0
            for digit in (digit for digit in digits if digit[0] == axis):
                if digit in across:
                    further += ciphertext * slots // digit[2] % digit[1] * weight
                weight *= digit[1]
            offsets.append(k * how["dilation"][axis - 1] + further * how["stride"][axis - 1])
        return tap // (tall * wide), *offsets

    numbers = {}
    groups = range(-(-len(how["taps"]) // layout["blocks"][2]))
    return [[numbers.setdefault(view(g, c), len(numbers)) for c in range(count)] for g in groups]


# Files


class Reader:
    """What a plan's files say."""

    def __init__(self, plan, digest):
        self.plan, self.digest, self.n = plan, digest, plan["degree"]
        self.primes = [Prime(q, self.n) for q in plan["moduli"]]
        self.special = [Prime(q, self.n) for q in plan["special"]]
        self.level_limbs = 1 if plan["masking"] is None else 2

    def limbs(self, level):
        """How many primes there are up to a level."""
        return (level + 1) * self.level_limbs

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
        near = abs(deviation / 3.19 - 1) < 6 / math.sqrt(2 * self.n)
        expect(near, f"{what}: errors deviate by {deviation}")
        return deviation

    def read_keys(self, path):
        """Checks every evaluation key against its equation."""
        _, payload = self.open(path, 3, self.key)
        wanted = [] if self.plan["relinearisation"] is None else [(None, self.plan["relinearisation"])]
        wanted += [tuple(rotation) for rotation in self.plan["rotations"]]
        at, deviations = 0, []
        for steps, level in wanted:
            width = self.plan["digit_limbs"]
            for digit in range(-(-self.limbs(level) // width)):
                own = range(digit * width, min((digit + 1) * width, self.limbs(level)))
                error, size = self.key_error(payload[at:], steps, level, own)
                deviations.append(self.check_error(error, f"key {steps}, digit {digit}"))
                at += size
        if self.plan["public"] is not None:
            error, size = self.public_error(payload[at:], self.plan["public"])
            deviations.append(self.check_error(error, "public key"))
            at += size
        expect(at == len(payload), "length of the evaluation keys")
        deviation = float(np.mean(deviations)) if deviations else None
        return {"keys": len(wanted), "digits": len(deviations), "deviation": deviation}

    def key_error(self, data, steps, level, own):
        """b + a t - P g f of one digit, the same modulo all primes; and how many bytes it took."""
        seed, at, errors = data[:32], 32, []
        product = math.prod(self.plan["special"])
        for index, prime in enumerate(self.primes[: self.limbs(level)] + self.special):
            words, size = unpack(data[at:], prime.q, self.n)
            expect_uniform(words, prime.q, f"key {steps}")
            at += size
            s = prime.values(self.secret)
            t = s if steps is None else self.rotated(s, prime, self.n - steps)
            f = s * s % prime.q if steps is None else s
            error = prime.plain(words) + prime.plain(expand(seed, prime.q, self.n)) * t
            if index in own and index < self.limbs(level):
                error = error - product % prime.q * f
            errors.append(prime.centred(prime.coefficients(error % prime.q)))
        expect(all(np.array_equal(errors[0], other) for other in errors), "errors differ between primes")
        return errors[0], at

    def public_error(self, data, level):
        """b + a s of the public key, the same modulo all primes; and how many bytes it took."""
        seed, at, errors = data[:32], 32, []
        for prime in self.primes[: self.limbs(level)]:
            words, size = unpack(data[at:], prime.q, self.n)
            expect_uniform(words, prime.q, "the public key")
            at += size
            a = prime.plain(expand(seed, prime.q, self.n))
            error = (prime.plain(words) + a * prime.values(self.secret)) % prime.q
            errors.append(prime.centred(prime.coefficients(error)))
        expect(all(np.array_equal(errors[0], other) for other in errors), "errors differ between primes")
        return errors[0], at

    def rotated(self, values, prime, steps):
        """X to X^(5^steps): the value at each exponent is that at its product with 5^steps."""
        exponent = (1 + 4 * prime.order) * pow(5, steps, 4 * self.n) % (4 * self.n)
        by_k = np.empty(self.n, np.int64)
        by_k[prime.order] = values
        return by_k[exponent // 4]

    def read_request(self, path, image=None):
        """Decrypts the input ciphertexts to slots; holds them against an image where there is one."""
        _, payload = self.open(path, 4, self.key)
        primes = self.primes[: self.limbs(self.plan["input_level"])]
        secrets = [prime.values(self.secret) for prime in primes]
        at, messages, seeds = 0, [], set()
        while at < len(payload):
            seed, residues = payload[at : at + 32], []
            seeds.add(seed)
            at += 32
            for prime, secret in zip(primes, secrets):
                words, size = unpack(payload[at:], prime.q, self.n)
                expect_uniform(words, prime.q, "a request")
                at += size
                message = (words + expand(seed, prime.q, self.n) * secret) % prime.q
                residues.append(prime.coefficients(message))
            messages.append(self.lifted(residues))
        expect(len(seeds) == len(messages), "two ciphertexts under one seed")
        slots = np.array([to_slots(message / self.plan["input_scale"]) for message in messages])
        report = {"ciphertexts": len(slots), "least": float(slots.min()), "largest": float(slots.max())}
        if image is not None:
            report["deviation"] = self.check_request(messages, image)
        return report

    def check_request(self, messages, image):
        """Holds decrypted polynomials against the image: what is over is the error."""
        shape, pixels = read_png(image)
        expect(shape == self.plan["input"]["shape"], f"{image}: an image of {shape}")
        should = written(self.plan, normalised(self.plan, pixels))
        expect(len(should) == len(messages), f"{len(messages)} ciphertexts, not {len(should)}")
        deviations = []
        for number, (slots, message) in enumerate(zip(should, messages)):
            error = message - np.rint(from_slots(slots) * self.plan["input_scale"])
            deviations.append(self.check_error(error, f"ciphertext {number} of the request"))
        return float(np.mean(deviations))

    def lifted(self, residues):
        """Small integers from their residues modulo the first two primes, or one; the other primes agree."""
        if len(residues) == 1:
            return self.primes[0].centred(residues[0]).astype(float)
        p, q = self.primes[0].q, self.primes[1].q
        high = (residues[1] - residues[0]) % q * pow(p, -1, q) % q
        value = residues[0] + p * high
        value = np.where(value > p * q // 2, value - p * q, value)
        for prime, residue in zip(self.primes[2:], residues[2:]):
            expect(np.array_equal(value % prime.q, residue), "a message that differs between primes")
        return value.astype(float)

    def indices(self):
        """The coefficients that each ciphertext of a reply carries."""
        reply = self.plan["reply"]
        form, figures = reply["form"], reply["figures"]
        if form == 0:
            return reply["scores"] + reply["sentinels"] + reply["coarse"]
        if form == 1:
            return [j * (figures[1] // figures[0]) for j in range(figures[0])]
        if form == 4:
            return list(range(1, figures[1] + 1))
        return list(range(figures[0])) if form == 2 else [0, 1, 2, 3]

    def read_reply(self, path):
        """The coefficients of each ciphertext of a reply, in real units."""
        _, payload = self.open(path, 5, self.key)
        primes, indices = self.primes[: self.limbs(0)], self.indices()
        at, decrypted = 0, []
        while at < len(payload):
            masks, message = [0] * len(primes), []
            for power in range(1, 3 if self.plan["reply"]["form"] == 4 else 2):
                for index, prime in enumerate(primes):
                    part, size = unpack(payload[at:], prime.q, self.n)
                    expect_uniform(part, prime.q, "a reply")
                    at += size
                    for _ in range(power):
                        part = part * prime.values(self.secret) % prime.q
                    masks[index] = masks[index] + prime.coefficients(part)[indices]
            for prime, mask in zip(primes, masks):
                first, size = unpack(payload[at:], prime.q, len(indices))
                at += size
                message.append((first + mask) % prime.q)
            decrypted.append(self.lifted(message) / self.plan["reply"]["scale"])
        return decrypted

    def scores(self, decrypted):
        """The scores of a reply to one image; raises where a client would refuse it."""
        reply = self.plan["reply"]
        form, count = reply["form"], len(reply["scores"])
        capacity = reply["capacity"]
        if form == 2:
            slots = [to_slots(ciphertext) for ciphertext in decrypted]
            expect(max(np.sqrt(np.mean(s * s)) for s in slots) <= capacity, "other keys, or out of range")
            return [float(s[0]) for s in slots]
        if form == 3:
            sentinels = np.concatenate([ciphertext[1:] for ciphertext in decrypted])
            expect(np.abs(sentinels).max() <= capacity / 2048, "other keys")
            scores = [float(ciphertext[0]) for ciphertext in decrypted]
            expect(max(map(abs, scores)) <= capacity / 8, "out of range")
            return scores
        if form == 4:
            values = np.concatenate(decrypted)
            expect(np.abs(values[count:]).max() <= capacity / 8192, "other keys")
            expect(np.abs(values[:count]).max() <= capacity / 32, "out of range")
            return [float(v) for v in values[:count]]
        values = to_slots(decrypted[0]) if form == 1 else decrypted[0]
        copies = values[len(values) - count :]
        expect(np.abs(values[count : len(values) - count]).max() <= capacity / 256, "other keys")
        expect(np.abs(values[:count] - 64 * copies).max() <= 65 * capacity / 256, "out of range")
        return [float(v) for v in values[:count]]

    def rounded(self, score):
        """A score as a client shows it."""
        square = 4 * self.n / 3
        parts = 1 + square + (3 * square**2 if self.plan["reply"]["form"] == 4 else 0)
        division = math.sqrt(parts / 12) / self.plan["reply"]["scale"]
        error = max(self.plan["predicted_error"], division)
        power = math.floor(math.log10(error))
        step = next(f for f in (1, 2, 5, 10) if f * 10.0**power >= error) * 10.0**power
        return round(round(score / step) * step, max(0, -power))


def main():
    """Reads what is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    for name in ["plan", "secret", "keys", "request", "image", "reply"]:
        parser.add_argument(f"--{name}", required=name in ("plan", "secret"))
    parser.add_argument("--exact-scores", action="store_true")
    arguments = parser.parse_args()
    plan, digest = read_plan(arguments.plan)
    reader = Reader(plan, digest)
    report = {"model": plan["model"], "digest": digest.hex(), "secret": reader.read_secret(arguments.secret)}
    if arguments.keys:
        report["keys"] = reader.read_keys(arguments.keys)
    if arguments.request:
        report["request"] = reader.read_request(arguments.request, arguments.image)
    if arguments.reply:
        scores = reader.scores(reader.read_reply(arguments.reply))
        report["form"] = ["coefficients", "periodic", "batch", "constants", "unrelinearised"][plan["reply"]["form"]]
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
