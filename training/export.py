"""Writes the plain layers as an ONNX file, and judges the written file with onnxruntime."""

import json

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

import plain
from data import DATASETS, normalise

OPSET = 17
IR_VERSION = 8
INPUT, OUTPUT = "image", "scores"
BOUND_MARGIN = 1.5
"""The score bound is the largest |score| over the training set times this, rounded up."""


def _nodes(layers, halves):
    """The graph's nodes and initialisers; a layer's output carries its name, the last one `OUTPUT`.

    With `halves` the file holds weights in half precision, and nodes that make them floats again: a convolution's
    operands must be of one type.
    """
    nodes, initialisers, at, flat = [], [], INPUT, False
    for name, layer in zip(plain.names(layers), layers):
        out = OUTPUT if layer is layers[-1] else name
        if layer.kind == "dense" and not flat:
            nodes.append(helper.make_node("Flatten", [at], ["flatten"], "flatten", axis=1))
            at, flat = "flatten", True
        if layer.kind == "square":
            nodes.append(helper.make_node("Mul", [at, at], [out], name))
        else:
            weight, bias = f"{name}.weight", f"{name}.bias"
            kept = layer.weight.half() if halves else layer.weight.float()
            initialisers += [
                numpy_helper.from_array(kept.numpy(), weight),
                numpy_helper.from_array(layer.bias.float().numpy(), bias),
            ]
            if halves:
                nodes.append(_as_floats(weight))
                weight = nodes[-1].output[0]
            nodes.append(helper.make_node(_operator(layer), [at, weight, bias], [out], name, **_attributes(layer)))
        at = out
    return nodes, initialisers


def _as_floats(weight):
    return helper.make_node("Cast", [weight], [f"{weight}.float"], f"{weight}.float", to=TensorProto.FLOAT)


def _operator(layer):
    return {"conv": "Conv", "dense": "Gemm"}[layer.kind]


def _attributes(layer):
    if layer.kind == "dense":
        return {"transB": 1}
    kernel = list(layer.weight.shape[2:])
    return {"kernel_shape": kernel, "strides": [layer.stride] * 2, "pads": [layer.padding] * 4}


def to_onnx(spec, layers):
    """The ONNX model of `layers`, the batch dimension symbolic, without metadata."""
    dataset = DATASETS[spec.dataset]
    nodes, initialisers = _nodes(layers, spec.halves)
    graph = helper.make_graph(
        nodes,
        spec.name,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", *dataset.shape])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", len(dataset.classes)])],
        initialisers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="blindsight-training")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


def onnx_scores(model, images):
    """The scores of normalised `images`, computed by onnxruntime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    chunks = [session.run([OUTPUT], {INPUT: chunk.float().numpy()})[0] for chunk in images.split(plain.CHUNK)]
    return torch.from_numpy(np.concatenate(chunks))


def metadata(spec, found, bound, accuracy):
    """What a client and a server need to know beside the graph, as strings; `found` are the layers' value ranges, `bound` is how large scores get."""
    lo = [(0 - m) / s for m, s in zip(spec.mean, spec.std)]
    hi = [(1 - m) / s for m, s in zip(spec.mean, spec.std)]
    return {
        "blindsight.dataset": spec.dataset,
        "blindsight.description": spec.description,
        "blindsight.accuracy": f"{accuracy:.4f}",
        "blindsight.mean": _listed(spec.mean),
        "blindsight.std": _listed(spec.std),
        "blindsight.labels": ",".join(DATASETS[spec.dataset].classes),
        "blindsight.input_range": _listed((min(lo), max(hi))),
        "blindsight.score_bound": _listed([np.ceil(BOUND_MARGIN * bound)]),
        "blindsight.ranges": json.dumps(found),
    }


def _listed(values):
    return ",".join(f"{value:g}" for value in values)


def export(spec, layers, ranges, bound, test, path):
    """Writes the model, with `ranges` of its values over the training images and the `bound` of its scores, to `path`; returns its accuracy over the `test` images.

    The accuracy is that of the file's graph under onnxruntime, whose scores must be within 1e-4 of ours (of the image's largest, where it is larger than 1).
    """
    model = to_onnx(spec, layers)
    images = normalise(spec, test.pixels)
    found = onnx_scores(model, images)
    ours = plain.scores(layers, images.double())
    apart = ((found - ours).abs() / ours.abs().amax(1, keepdim=True).clamp(min=1)).max().item()
    if apart > 1e-4:
        raise RuntimeError(f"onnxruntime's scores differ from PyTorch's by {apart:.2e}, expected at most 1e-4")
    accuracy = (found.argmax(1) == test.labels).double().mean().item()
    helper.set_model_props(model, metadata(spec, ranges, bound, accuracy))
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return accuracy
