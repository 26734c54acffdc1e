"""Networks as people have them: modules of PyTorch, files, bytes."""

from __future__ import annotations

import importlib
import os
import tempfile
import warnings
from typing import Any

import numpy as np

from . import _engine
from ._engine import ModelError


def is_of(model: Any, *packages: str) -> bool:
    """Whether its class, or one that it derives from, is of these packages, which are not imported to find out."""
    return any(f"{base.__module__}.".startswith(f"{name}.") for base in type(model).__mro__ for name in packages)


def is_module(model: Any) -> bool:
    """Whether it is a module of PyTorch; a model of Keras is one, too, where PyTorch computes for it."""
    return is_of(model, "torch.nn") and not is_of(model, "keras")


def file(model: Any, example: Any = None) -> tuple[str | bytes, str]:
    """A path or the bytes of an ONNX file, and the network's name."""
    if isinstance(model, (str, os.PathLike)):
        path = os.fspath(model)
        return path, os.path.splitext(os.path.basename(path))[0]
    if isinstance(model, (bytes, bytearray)):
        return bytes(model), "network"
    if is_module(model):
        return exported(model, example), type(model).__name__
    if hasattr(model, "SerializeToString"):
        return model.SerializeToString(), "network"
    if is_of(model, "sklearn"):
        return estimated(model), type(model).__name__
    if is_of(model, "keras", "tf_keras"):
        return keras(model), getattr(model, "name", "network")
    raise ModelError(
        f"a network of type {type(model).__name__}: a module of PyTorch, an estimator of scikit-learn, a model "
        "of Keras, the path of an ONNX file or its bytes are expected"
    )


def estimated(estimator: Any) -> bytes:
    """The ONNX file of a fitted estimator of scikit-learn."""
    skl2onnx = converter("skl2onnx", "scikit-learn")
    try:
        example = np.zeros((1, estimator.n_features_in_), np.float32)
        # Probabilities as an array; or all scores, where the estimator has no probabilities.
        option = {"zipmap": False} if hasattr(estimator, "predict_proba") else {"raw_scores": True}
        options = {id(estimator): option} if hasattr(estimator, "classes_") else None
        return skl2onnx.to_onnx(estimator, example, options=options).SerializeToString()
    except Exception as error:
        raise ModelError(f"skl2onnx cannot convert {type(estimator).__name__}: {error}") from error


def keras(model: Any) -> bytes:
    """The ONNX file of a model of Keras: version 3 writes it, of older ones tf2onnx does."""
    name = getattr(model, "name", "the model")
    try:
        if not is_of(model, "keras"):
            return converter("tf2onnx", "older versions of Keras").convert.from_keras(model)[0].SerializeToString()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "network.onnx")
            shape = getattr(model, "input_shape", None)  # of one input; subclasses have none before they ran
            if isinstance(shape, tuple):
                model(np.zeros((1, *shape[1:]), np.float32))  # Keras exports no model that never ran
            model.export(path, format="onnx", verbose=False)
            with open(path, "rb") as written:
                return written.read()
    except ImportError as error:
        raise ModelError(f"Keras cannot export {name} without a package: pip install {error.name}") from error
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"Keras cannot export {name}: {error}") from error


def converter(name: str, library: str) -> Any:
    """The package that writes ONNX files for a library."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ModelError(f"models of {library} are converted by {name}: pip install {name}") from error


def read(model: Any, example: Any = None) -> _engine.Network:
    """A network that runs in the clear."""
    if isinstance(model, _engine.Network):
        return model
    if hasattr(model, "network") and callable(model.network):
        return model.network()
    source, name = file(model, example)
    return _engine.Network.read(source, name)


def exported(module: Any, example: Any) -> bytes:
    """The ONNX file of a module, exported for a batch of any size."""
    if example is None:
        raise ModelError("a module is exported with an example: give example=, one input or a batch of them")
    import torch

    example = torch.as_tensor(np.asarray(example.detach().cpu()) if hasattr(example, "detach") else example)
    example = example.to(torch.get_default_dtype())
    was_training = module.training
    module.eval()
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = os.path.join(folder, "network.onnx")
            torch.onnx.export(
                module.cpu(),
                (example,),
                path,
                input_names=["input"],
                output_names=["scores"],
                dynamic_axes={"input": {0: "batch"}, "scores": {0: "batch"}},
                dynamo=False,
            )
            with open(path, "rb") as written:
                return written.read()
    except Exception as error:
        lacking = "onnx is not installed" in str(error) or isinstance(error, ImportError)
        remedy = "; PyTorch exports with the package onnx: pip install onnx" if lacking else ""
        raise ModelError(f"PyTorch cannot export {type(module).__name__}: {error}{remedy}") from error
    finally:
        module.train(was_training)


def facts(network: _engine.Network) -> dict[str, Any]:
    """What inputs are to be."""
    mean, std = network.normalisation
    return {"shape": list(network.shape), "mean": mean, "std": std}
