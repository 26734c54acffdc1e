"""Makes the small ONNX files of crates/network/tests/files with the tools that people use, and the values
that onnxruntime gives for them.

    python make.py torch sklearn     in an environment of requirements.txt
    python make.py keras             in one of requirements-keras.txt

Every file is run on the same numbers, which the Rust test makes, too (`ramp`). What authors' tools write
beside the network (paths, stack traces) is taken out before a file is kept.
"""

import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore")

import numpy as np
import onnx
import onnxruntime

FILES = Path(__file__).resolve().parents[2] / "crates" / "network" / "tests" / "files"


def ramp(shape, scale=1.0):
    """Numbers from -1 to 1, times `scale`, in the order channel, row, column."""
    count = int(np.prod(shape))
    return (np.array([(i * 37 % 101 - 50) / 50 for i in range(count)]) * scale).reshape(shape)


def clean(model):
    """Takes out what is no part of the network."""
    del model.metadata_props[:]
    model.doc_string = ""
    graph = model.graph
    graph.doc_string = ""
    del graph.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        value.doc_string = ""
        del value.metadata_props[:]
    return model


def keep(name, model, shape, scale=1.0, last=False, **expected):
    """Keeps a file, and what onnxruntime gives: `last` where the file's channels come last."""
    model = clean(model)
    FILES.mkdir(parents=True, exist_ok=True)
    onnx.save(model, FILES / f"{name}.onnx")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    first = session.get_inputs()[0]
    values = ramp(shape, scale)
    if last:
        values = np.moveaxis(values, 0, -1)
    kind = np.float16 if "float16" in first.type else np.float32
    outputs = session.run(None, {first.name: values[None].astype(kind)})
    # Probabilities by the names of their classes, of the one input.
    outputs = [np.array(list(o[0].values())) if isinstance(o, list) else o for o in outputs]
    floats = [o for o in outputs if o.dtype.kind == "f"]
    path = FILES / "values.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    output = [round(float(v), 7) for v in floats[-1].reshape(-1)]
    known[name] = {"shape": list(shape), "scale": scale, "output": output, **expected}
    lines = [f"{json.dumps(key)}: {json.dumps(known[key])}" for key in sorted(known)]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(name, (FILES / f"{name}.onnx").stat().st_size, output[:4])


def with_torch():
    import torch
    from torch import nn

    class Mean(nn.Module):
        """Subtracts a mean image."""

        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.rand(1, 8, 8))

        def forward(self, x):
            return x - self.mean

    class Square(nn.Module):
        def forward(self, x):
            return x * x

    class View(nn.Module):
        def forward(self, x):
            return x.view(x.size(0), -1)

    torch.manual_seed(0)

    def image(*middle, features=36, end=()):
        return nn.Sequential(nn.Conv2d(1, 4, 3), *middle, nn.Flatten(), nn.Linear(features, 3), *end)

    def export(name, net, shape, dynamo, dynamic=False, **expected):
        torch.manual_seed(len(name))
        for parameter in net.parameters():
            nn.init.normal_(parameter, std=0.4)
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(std=0.3)
                layer.running_var.uniform_(0.5, 2.0)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "net.onnx")
            x = torch.zeros(2 if dynamic else 1, *shape)
            options = {"opset_version": 18 if dynamo else 17, "dynamo": dynamo}
            if dynamo:
                options["external_data"] = False
                if dynamic:
                    options["dynamic_shapes"] = ({0: torch.export.Dim("batch")},)
            elif dynamic:
                options["dynamic_axes"] = {"input": {0: "batch"}}
                options["input_names"] = ["input"]
            torch.onnx.export(net.eval(), (x,), path, **options)
            keep(name, onnx.load(path), shape, **expected)

    pool = nn.AvgPool2d(2)
    activations = {
        "relu": (nn.ReLU(), "Relu"),
        "gelu": (nn.GELU(), "Gelu"),
        "gelu-tanh": (nn.GELU(approximate="tanh"), "GeluTanh"),
        "silu": (nn.SiLU(), "Silu"),
        "hardswish": (nn.Hardswish(), "HardSwish"),
        "mish": (nn.Mish(), "Mish"),
        "softplus": (nn.Softplus(), "Softplus"),
        "relu6": (nn.ReLU6(), "Clip"),
        "prelu": (nn.PReLU(4), "LeakyRelu"),
    }
    square = (1, 8, 8)
    for dynamo in (False, True):
        by = "dynamo" if dynamo else "torchscript"
        for name, (activation, kind) in activations.items():
            net = image(activation, pool)
            export(f"{name}-{by}", net, square, dynamo, scale=2.0, activations=[kind])
        norm = image(nn.BatchNorm2d(4), nn.GELU(), pool)
        export(f"norm-gelu-{by}", norm, square, dynamo, activations=["Gelu"])
        largest = image(nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True), end=[nn.Softmax(1)])
        export(f"max-pool-{by}", largest, square, dynamo, activations=["Relu", "MaxPool"], applied="Softmax")
        view = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), View(), nn.Linear(144, 3), nn.LogSoftmax(1))
        export(f"view-{by}", view, square, dynamo, dynamic=True, activations=["Relu"], applied="LogSoftmax")
        mean = nn.Sequential(Mean(), nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        export(f"mean-image-{by}", mean, square, dynamo, activations=[])
        line = nn.Sequential(
            nn.Conv1d(2, 3, 5, stride=2, padding=2), nn.BatchNorm1d(3), nn.ReLU(), nn.AvgPool1d(2), nn.Flatten()
        )
        export(f"conv1d-{by}", line, (2, 16), dynamo, activations=["Relu"])
        one = nn.Sequential(nn.Linear(30, 8), nn.Tanh(), nn.Linear(8, 1), nn.Sigmoid())
        export(f"one-score-{by}", one, (30,), dynamo, activations=["Tanh"], applied="Sigmoid")
        two = nn.Sequential(nn.Linear(5, 4), Square(), nn.Linear(4, 1), nn.Sigmoid())
        export(f"two-classes-{by}", two, (5,), dynamo, activations=[], applied="Sigmoid")
    half_precision(image(nn.ReLU(), pool))
    quantised(image(nn.ReLU(), pool), square)


def half_precision(net):
    import torch
    from onnxconverter_common import float16

    torch.manual_seed(16)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.onnx")
        torch.onnx.export(net.eval(), (torch.zeros(1, 1, 8, 8),), path, opset_version=17, dynamo=False)
        model = float16.convert_float_to_float16(onnx.load(path))
    keep("float16", model, (1, 8, 8), activations=["Relu"], tolerance=5e-3)


def quantised(net, shape):
    import torch
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Numbers(CalibrationDataReader):
        def __init__(self):
            self.left = iter([{"input": ramp(shape)[None].astype(np.float32)}] * 4)

        def get_next(self):
            return next(self.left, None)

    torch.manual_seed(8)
    with tempfile.TemporaryDirectory() as folder:
        plain, small = os.path.join(folder, "net.onnx"), os.path.join(folder, "small.onnx")
        x = torch.zeros(1, *shape)
        torch.onnx.export(net.eval(), (x,), plain, opset_version=17, dynamo=False, input_names=["input"])
        quantize_static(
            plain,
            small,
            Numbers(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QInt8,
        )
        # The Relu is gone: the integers after the convolution begin at zero.
        keep("qdq-int8", onnx.load(small), shape, activations=["Relu"], tolerance=3e-2, remarks=["QuantizeLinear"])


def with_sklearn():
    from sklearn.datasets import load_breast_cancer, load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler
    from skl2onnx import to_onnx

    def export(name, model, x, y, **expected):
        model.fit(x, y)
        options = None if name.endswith("zipmap") else {"zipmap": False}
        onnx_model = to_onnx(model, x[:1].astype(np.float32), options=options, target_opset=17)
        keep(name, onnx_model, (x.shape[1],), scale=2.0, remarks=["output"], **expected)

    flowers, tumours = load_iris(return_X_y=True), load_breast_cancer(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[flowers[1]]
    linear = lambda: make_pipeline(StandardScaler(), LogisticRegression())
    net = lambda scaler, function: make_pipeline(
        scaler, MLPClassifier((8,), activation=function, max_iter=200, random_state=0)
    )
    export("iris-linear", linear(), flowers[0], names, applied="Softmax", labels=sorted(set(names)))
    export("iris-zipmap", linear(), flowers[0], names, applied="Softmax", labels=sorted(set(names)))
    export("tumour-linear", linear(), *tumours, applied="Sigmoid", labels=["0", "1"])
    export(
        "iris-mlp",
        net(StandardScaler(), "relu"),
        flowers[0],
        names,
        applied="Softmax",
        activations=["Relu"],
        labels=sorted(set(names)),
    )
    export(
        "tumour-mlp",
        net(MinMaxScaler(), "tanh"),
        *tumours,
        applied="Sigmoid",
        activations=["Tanh"],
        labels=["0", "1"],
    )


def with_keras():
    import tensorflow as tf
    import tf2onnx

    layers = tf.keras.layers

    def export(name, shape, stack, **expected):
        tf.keras.utils.set_random_seed(len(name))
        last = (*shape[1:], shape[0]) if len(shape) == 3 else shape
        net = tf.keras.Sequential([tf.keras.Input(last), *stack])
        for weight in net.weights:
            values = np.random.normal(size=weight.shape, scale=0.4)
            weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
        spec = [tf.TensorSpec((None, *last), tf.float32, name="input")]
        function = tf.function(lambda x: net(x, training=False), input_signature=spec)
        model, _ = tf2onnx.convert.from_function(function, input_signature=spec, opset=15)
        keep(name, model, shape, last=len(shape) == 3, **expected)

    export(
        "keras-grey",
        (1, 8, 8),
        [
            layers.Conv2D(4, 3, padding="same"),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(5, activation="swish"),
            layers.Dense(3, activation="softmax"),
        ],
        activations=["Relu", "MaxPool", "Silu"],
        applied="Softmax",
    )
    export(
        "keras-colour",
        (3, 8, 8),
        [
            layers.Rescaling(1 / 127.5, -1.0),
            layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.Activation(lambda x: tf.keras.activations.gelu(x, approximate=True)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ],
        activations=["Clip", "GeluTanh"],
    )
    export(
        "keras-line",
        (16,),
        [layers.Dense(8, activation="elu"), layers.Dense(4, activation="selu"), layers.Dense(1, activation="sigmoid")],
        activations=["Elu", "Elu"],
        applied="Sigmoid",
    )


if __name__ == "__main__":
    for kind in sys.argv[1:]:
        {"torch": with_torch, "sklearn": with_sklearn, "keras": with_keras}[kind]()
