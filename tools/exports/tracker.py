"""Tries what people report in the trackers of such tools, each from an ONNX file to an encrypted answer.

    python tracker.py BLINDSIGHT [CASES [WORD]]     in an environment with numpy, onnx, onnxruntime and scikit-learn

BLINDSIGHT is the command, CASES a folder of cases beside the repository's own (left out where it is missing), WORD
what the names of cases hold that are tried.
Files that nobody exported are made here, of random weights; the right values are onnxruntime's. A network with
activations is fitted first, on random inputs, and held against onnxruntime's values for the fitted file. Prints the
table of docs/operators.md, and fails where an answer is wrong.
"""

import json
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FILES = Path(__file__).resolve().parents[2] / "crates" / "network" / "tests" / "files"
#: How far a score may be off, as a share of the largest, and how far a probability.
TOLERANCE = 0.02
PROBABILITY = 0.01
#: How many seconds a command may take.
LONGEST = 300


class Net:
    """An ONNX file, node by node."""

    def __init__(self, shape, seed):
        self.shape, self.random = shape, np.random.default_rng(seed)
        self.nodes, self.constants, self.last = [], [], "x"

    def constant(self, values):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def weights(self, *shape):
        size = np.prod(shape[1:]) if len(shape) > 1 else shape[0]
        return self.constant((self.random.normal(size=shape) / np.sqrt(size)).astype(np.float32))

    def node(self, kind, *others, first=True, **attributes):
        name = f"t{len(self.nodes)}"
        inputs = [self.last, *others] if first else list(others)
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        self.last = name
        return name

    def conv(self, inputs, outputs, size, **attributes):
        kernel = [size] * (len(self.shape) - 1)
        weights = self.weights(outputs, inputs, *kernel)
        return self.node("Conv", weights, self.weights(outputs), **attributes)

    def dense(self, inputs, outputs):
        return self.node("Gemm", self.weights(outputs, inputs), self.weights(outputs), transB=1)

    def model(self):
        batch = ["batch", *self.shape]
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, batch)],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def squared(net):
    net.node("Mul", net.last)


def mean_of_axes():
    net = Net((1, 12, 12), 1)
    net.conv(1, 4, 3)
    squared(net)
    net.node("ReduceMean", axes=[2, 3], keepdims=0)
    net.dense(4, 3)
    return net.model()


def regression():
    """A dense layer of least squares on targets of zero and one: what a mean-square loss ends in."""
    net = Net((1, 12, 12), 2)
    net.conv(1, 4, 5)
    squared(net)
    net.node("Flatten")
    features = net.last
    middle = net.model()
    inputs = net.random.uniform(size=(2000, 1, 12, 12)).astype(np.float32)
    targets = np.eye(3)[net.random.integers(3, size=2000)]
    found = run(middle, inputs)
    found = np.hstack([found, np.ones((len(found), 1))])
    weights = np.linalg.lstsq(found, targets, rcond=None)[0].astype(np.float32)
    assert net.last == features
    net.node("Gemm", net.constant(weights[:-1]), net.constant(weights[-1]))
    return net.model()


def linear_activation():
    """One channel's quadratic has no square: a = 0."""
    net = Net((1, 10, 10), 3)
    x = net.conv(1, 3, 3)
    squares = net.node("Mul", x)
    a = net.constant(np.array([0.4, 0.0, -0.3], np.float32).reshape(1, 3, 1, 1))
    bent = net.node("Mul", a, squares, first=False)
    net.node("Add", bent, x, first=False)
    net.node("Flatten")
    net.dense(192, 4)
    return net.model()


def square_of_square():
    net = Net((1, 10, 10), 4)
    net.conv(1, 3, 3)
    squared(net)
    squared(net)
    net.node("Flatten")
    net.dense(192, 4)
    return net.model()


def horner():
    """x (x (a x + b) + c) + d."""
    net = Net((1, 10, 10), 5)
    x = net.conv(1, 3, 3)
    a, b, c, d = (net.constant(np.float32(v)) for v in (0.2, -0.3, 0.5, 0.1))
    net.node("Mul", a)
    for added in (b, c):
        net.node("Add", added)
        net.node("Mul", x)
    net.node("Add", d)
    net.node("Flatten")
    net.dense(192, 4)
    return net.model()


def heartbeat():
    """An ECG: one lead of 180 samples, five kinds of beats."""
    net = Net((1, 180), 6)
    net.conv(1, 6, 7, strides=[2], pads=[3, 3])
    net.node("Relu")
    net.node("AveragePool", kernel_shape=[2], strides=[2])
    net.conv(6, 8, 5, strides=[2], pads=[2, 2])
    net.node("Relu")
    net.node("Flatten")
    net.dense(184, 5)
    net.node("Softmax", axis=1)
    return net.model()


def classes(count):
    def make():
        net = Net((1, 14, 14), count)
        net.conv(1, 4, 5, strides=[2, 2])
        squared(net)
        net.node("Flatten")
        net.dense(100, count)
        return net.model()

    return make


def resnet18(fitted):
    """torchvision's, without its batch norms, which exporters fold: 224 x 224 in colour, 1000 classes. As it is, or
    with squares and average pooling, which is the least that a fit would leave."""
    net = Net((3, 224, 224), 18)
    activation = lambda: squared(net) if fitted else net.node("Relu")
    net.conv(3, 64, 7, strides=[2, 2], pads=[3] * 4)
    activation()
    pool = "AveragePool" if fitted else "MaxPool"
    net.node(pool, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    inputs = 64
    for outputs in (64, 128, 256, 512):
        for block in range(2):
            stride = 2 if block == 0 and outputs > 64 else 1
            skip = net.last
            net.conv(inputs, outputs, 3, strides=[stride] * 2, pads=[1] * 4)
            activation()
            branch = net.conv(outputs, outputs, 3, pads=[1] * 4)
            if stride == 2:
                net.last = skip
                skip = net.conv(inputs, outputs, 1, strides=[2, 2])
            net.node("Add", branch, skip, first=False)
            activation()
            inputs = outputs
    net.node("GlobalAveragePool")
    net.node("Flatten")
    net.dense(512, 1000)
    return net.model()


def run(model, inputs):
    """onnxruntime's last output of floats."""
    data = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    first = session.get_inputs()[0]
    kind = np.float16 if "float16" in first.type else np.float32
    # What is fitted is written with the axes of images.
    inputs = inputs.reshape(len(inputs), *first.shape[1:])
    ours = len(inputs) if not isinstance(first.shape[0], int) else 1
    outputs = []
    for at in range(0, len(inputs), ours):
        found = session.run(None, {first.name: inputs[at : at + ours].astype(kind)})
        found = [np.array([list(r.values()) for r in o]) if isinstance(o, list) else o for o in found]
        outputs.append([o for o in found if o.dtype.kind == "f"][-1])
    return np.concatenate(outputs).reshape(len(inputs), -1)


def blindsight(*words):
    """The document that a command prints; its error where it fails."""
    command = [sys.argv[1], *map(str, words), "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return None, f"no answer in {LONGEST} s"
    # `check` says what is in the way as a document, and fails.
    if done.returncode == 0 or (words[0] == "check" and done.stdout.startswith("{")):
        return json.loads(done.stdout), None
    return None, " ".join(done.stderr.split()).removeprefix("error: ")


def png(pixels):
    """The bytes of a grey PNG."""
    height, width = pixels.shape
    chunk = lambda kind, data: (
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    )
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    rows = b"".join(b"\0" + row.tobytes() for row in pixels.astype(np.uint8))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def by_class(count, path, folder):
    """A folder of images for each class, evaluated encrypted."""
    random = np.random.default_rng(0)
    for n in range(count):
        place = folder / "images" / f"class-{n:03}"
        place.mkdir(parents=True)
        (place / "a.png").write_bytes(png(random.integers(256, size=(14, 14))))
    found, error = blindsight("evaluate", path, "--data", folder / "images", "--encrypted", "--count", 10)
    if error:
        return False, error
    return found["agree"] == found["count"] == 10, f"{found['agree']} of {found['count']} images as in the clear"


def tried(path, folder, low, high):
    """One input through `classify`, after `fit` where the file has activations."""
    checked, error = blindsight("check", path)
    inputs = onnx.load(path, load_external_data=False).graph.input[0].type.tensor_type.shape.dim[1:]
    shape = [d.dim_value for d in inputs]
    random = np.random.default_rng(7)
    data = (low + (high - low) * random.uniform(size=(400, *shape))).astype(np.float32)
    labels = np.zeros(400, np.int64)
    said = "as it is"
    if error or not checked["ok"]:
        np.savez(folder / "data.npz", x=data, y=labels)
        fitted = folder / "fitted.onnx"
        flags = ["--degree", 3, "--max-drop", 100, "--replace", "max-pool"]
        done, error = blindsight("fit", path, "--data", folder / "data.npz", "--out", fitted, *flags)
        if error:
            return None, error
        path, said = fitted, f"fitted, {len(done['activations'])} activations of degree 3"
        if len(shape) == 3 and shape[0] not in (1, 3):
            data = np.moveaxis(data, -1, 1)
    np.save(folder / "input.npy", data[0])
    found, error = blindsight("classify", path, folder / "input.npy")
    if error:
        return None, error
    right, answers = run(str(path), data[:1])[0], found["scores"]
    allowed = max(TOLERANCE * float(np.max(np.abs(right))), 5 * found["predicted_error"])
    probable = {top["label"]: top["probability"] for top in found["top"] if top["probability"] is not None}
    if probable:
        right, answers = probabilities(right, found["top"], probable)
        allowed = PROBABILITY
    error = float(np.max(np.abs(np.asarray(answers) - right)))
    return error <= allowed, f"{said}; off by {error:.1e}, {found['latency_ms']:.0f} ms"


def of_table(name):
    """A way to try a network of a table that scikit-learn has: fitted to its rows, and evaluated encrypted."""

    def trial(path, folder):
        from sklearn import datasets

        rows, classes = getattr(datasets, f"load_{name}")(return_X_y=True)
        table, fitted = folder / "table.npz", folder / "fitted.onnx"
        np.savez(table, x=rows.astype(np.float32), y=classes)
        done, error = blindsight("fit", path, "--data", table, "--out", fitted)
        if error:
            return None, error
        found, error = blindsight("evaluate", fitted, "--data", table, "--encrypted", "--count", 50)
        if error:
            return None, error
        degrees = ", ".join(str(activation["degree"]) for activation in done["activations"])
        before, after = (100 * done[f"accuracy_{when}"] for when in ("before", "after"))
        said = f"fitted, degree {degrees}: {before:.1f} -> {after:.1f} % of the rows held back"
        return found["agree"] == 50, f"{said}; {found['agree']} of 50 as in the clear"

    return trial


def probabilities(right, top, probable):
    """onnxruntime's probabilities beside the client's: of the best classes; of one score that of its second class."""
    if np.all(right <= 0) and abs(np.sum(np.exp(right)) - 1) < 1e-3:
        right = np.exp(right)
    if len(right) == 1:
        return right, [probable[max(probable)]]
    best = np.sort(right)[::-1][: len(top)]
    return best, [probable[t["label"]] for t in top]


def cases(others):
    """Names, files or their makers, and how they are tried."""
    of = lambda low, high: lambda path, folder: tried(path, folder, low, high)
    kept = lambda name: FILES / f"{name}.onnx"
    there = lambda name: others / name if others else None
    yield "regression by mean-square loss", regression, of(0, 1)
    yield "the same, trained (scores around 0.3)", there("small-scores/mse.onnx"), of(0, 1)
    yield "`mean((2, 3))`", mean_of_axes, of(0, 1)
    for by in ("dynamo", "torchscript"):
        yield f"AdaptiveAvgPool2d(1), mean image for each pixel, {by}", kept(f"mean-image-{by}"), of(0, 1)
        yield f"`view(x.size(0), -1)`, dynamic batch, {by}", kept(f"view-{by}"), of(0, 1)
    yield "PyTorch's default: weights in a second file", there("default-export/default.onnx"), of(0, 1)
    yield "Keras, channels last, SAME_UPPER", kept("keras-grey"), of(0, 1)
    yield "one channel with a linear activation (`a = 0`)", linear_activation, of(0, 1)
    yield "`(x^2)^2`", square_of_square, of(0, 1)
    yield "cubic by Horner's rule", horner, of(0, 1)
    yield "iris, scaler and network", kept("iris-mlp"), of_table("iris")
    yield "breast cancer, scaler and one score with a sigmoid", kept("tumour-mlp"), of_table("breast_cancer")
    yield "30 numbers, one score with a sigmoid", kept("one-score-torchscript"), of(-2, 2)
    yield "ECG: Conv1d over 180 samples", heartbeat, of(-1, 1)
    for count in (26, 100):
        yield f"folders of images, {count} classes", classes(count), lambda p, f, n=count: by_class(n, p, f)
    yield "QDQ int8", kept("qdq-int8"), of(0, 1)
    yield "float16", kept("float16"), of(0, 1)
    yield "ResNet-18, 224 x 224", lambda: resnet18(False), lambda path, folder: refused(path)
    yield "the same, squares and average pooling", lambda: resnet18(True), lambda path, folder: refused(path)


def refused(path):
    """A network that is too large: said by `check`, with figures."""
    found, error = blindsight("check", path)
    said = {p["reason"] + ": " + p["remedy"]: None for p in found["problems"]} if found else {error: None}
    return None, "; ".join(said)


def main():
    others = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    only = sys.argv[3] if len(sys.argv) > 3 else ""
    wrong = 0
    print("| what | | result |\n| --- | --- | --- |")
    for name, source, attempt in (case for case in cases(others) if only in case[0]):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            if callable(source):
                path = folder / "net.onnx"
                onnx.save(source(), path)
            else:
                path = source
            if path is None or not path.exists():
                print(f"| {name} | skipped | no file |", flush=True)
                continue
            fine, said = attempt(path, folder)
            said = said.replace(str(folder), "").replace("|", "/")
            words = {True: "runs", False: "WRONG", None: "refused"}
            word = "no answer" if said.startswith("no answer") else words[fine]
            wrong += fine is False
            print(f"| {name} | {word} | {said[:400]} |", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
