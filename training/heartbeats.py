"""A small network for a series: beats of an ECG, drawn by a formula, as three kinds.

    pip install numpy onnx
    python training/heartbeats.py

writes `samples/heartbeats.onnx` and `samples/heartbeats.csv`, 60 beats that it was not fitted to. A beat is a sum of
bell curves, the waves P to T, with a wandering baseline and noise; no patient's data are in it. The first layer's
filters are drawn at random, the last layer is fitted by least squares: nothing to be used on anybody.
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
LENGTH, FILTERS, WINDOW, STRIDE = 180, 6, 15, 3
#: Of each wave its place, width and height.
WAVES = {
    "normal": [(50, 8, 0.15), (82, 3, -0.1), (90, 4, 1.0), (98, 3, -0.25), (135, 14, 0.3)],
    "premature atrial": [(22, 7, 0.2), (58, 3, -0.1), (66, 4, 0.9), (74, 3, -0.25), (112, 14, 0.3)],
    "premature ventricular": [(76, 12, 1.2), (100, 9, -0.5), (140, 18, -0.35)],
}
KINDS = list(WAVES)


def beat(kind, random):
    """One beat, as an ECG would show it."""
    time = np.arange(LENGTH)
    shift, gain = random.normal(0, 3), random.uniform(0.8, 1.2)
    beat = 0.05 * np.sin(2 * np.pi * (time / random.uniform(150, 400) + random.uniform()))
    for place, width, height in WAVES[kind]:
        width = width * random.uniform(0.85, 1.15)
        beat += gain * height * np.exp(-(((time - place - shift - random.normal(0, 1.5)) / width) ** 2) / 2)
    return beat + random.normal(0, 0.03, LENGTH)


def beats(count, random):
    kinds = random.integers(len(KINDS), size=count)
    return np.array([beat(KINDS[kind], random) for kind in kinds]).round(2), kinds


def windows(x):
    """What the filters see: one row for each place."""
    return np.lib.stride_tricks.sliding_window_view(x, WINDOW, axis=1)[:, ::STRIDE]


def features(x, filters, biases):
    """The outputs of the first layer, squared, channel by channel."""
    return ((windows(x) @ filters.T + biases) ** 2).transpose(0, 2, 1).reshape(len(x), -1)


def fitted(x, kinds, filters, biases):
    """The last layer's weights and biases: ridge regression to 10 for a beat's own kind and 0 for others."""
    inputs = np.hstack([features(x, filters, biases), np.ones((len(x), 1))])
    ridge = 1.0 * np.eye(inputs.shape[1])
    weights = np.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ (10 * np.eye(len(KINDS))[kinds]))
    return weights[:-1], weights[-1]


def model(filters, biases, weights, offsets, x):
    arrays = {
        "filters": filters[:, None],
        "biases": biases,
        "weights": weights,
        "offsets": offsets,
    }
    nodes = [
        helper.make_node("Conv", ["beat", "filters", "biases"], ["filtered"], name="conv1", strides=[STRIDE]),
        helper.make_node("Mul", ["filtered", "filtered"], ["squared"], name="square1"),
        helper.make_node("Flatten", ["squared"], ["flat"], name="flatten"),
        helper.make_node("Gemm", ["flat", "weights", "offsets"], ["scores"], name="dense1"),
    ]
    graph = helper.make_graph(
        nodes,
        "heartbeats",
        [helper.make_tensor_value_info("beat", TensorProto.FLOAT, ["batch", 1, LENGTH])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", len(KINDS)])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    scores = features(x, filters, biases) @ weights + offsets
    filtered = windows(x) @ filters.T + biases
    outputs = {"conv1": filtered, "square1": filtered**2, "dense1": scores}
    ranges = {name: {"max": np.abs(v).max(), "rms": np.sqrt((v**2).mean())} for name, v in outputs.items()}
    upper, lower = np.percentile(x, [75, 25], axis=0)
    usual = np.where(np.arange(LENGTH) % 2 == 0, upper, lower)
    helper.set_model_props(
        network,
        {
            "blindsight.description": "beats of an ECG, drawn by a formula: an example of a series",
            "blindsight.labels": ",".join(KINDS),
            "blindsight.input_range": f"{x.min():.2f},{x.max():.2f}",
            "blindsight.ranges": json.dumps(ranges),
            "blindsight.usual_input": ",".join(f"{v:.3f}" for v in usual),
            "blindsight.score_bound": str(int(np.ceil(1.5 * np.abs(scores).max()))),
        },
    )
    onnx.checker.check_model(network)
    return network


def main():
    random = np.random.default_rng(1)
    x, kinds = beats(2000, random)
    filters = random.normal(size=(FILTERS, WINDOW)) / np.sqrt(WINDOW)
    biases = random.normal(size=FILTERS) * 0.3
    weights, offsets = fitted(x, kinds, filters, biases)
    others, truth = beats(2000, random)
    found = (features(others, filters, biases) @ weights + offsets).argmax(axis=1)
    print(f"{(found == truth).mean():.2%} of 2000 other beats")
    onnx.save(model(filters, biases, weights, offsets, x), SAMPLES / "heartbeats.onnx")
    rows = [",".join([*(f"{v:g}" for v in row), KINDS[kind]]) for row, kind in zip(others[:60], truth)]
    head = ",".join([*(f"mv{i}" for i in range(LENGTH)), "label"])
    (SAMPLES / "heartbeats.csv").write_text("\n".join([head, *rows]) + "\n")


if __name__ == "__main__":
    main()
