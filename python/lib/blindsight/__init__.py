"""Private inference: neural networks on inputs that the server cannot see.

A client encrypts an input, a server without any secret key runs the network on the ciphertexts, the client
decrypts the scores::

    import blindsight as bs

    print(bs.check("net.onnx"))                        # everything that is in the way, each with its remedy
    poly = bs.convert(model, calibration=loader)       # ReLU and its kin become polynomials
    m = bs.compile(poly, calibration=loader)           # measured and planned
    m.save("client.zip", "server.zip")

    client, server = bs.Client("client.zip"), bs.Server("server.zip")
    keys = server.keys(client.evaluation_keys())
    answer = client.decrypt(server.infer(keys, client.encrypt(x)))

Neither PyTorch nor ONNX is imported before a module of PyTorch is given. What is refused is a
:class:`BlindsightError`.
"""

from ._engine import (
    BlindsightError,
    DamagedError,
    FitError,
    InputError,
    ModelError,
    PlanError,
    ReplyError,
    ServerError,
)
from .answers import Answer
from .checking import Check, check
from .client import Client
from .compiling import Compiled, Simulation, compile
from .converting import convert, finetune
from .remote import RemoteClient, connect
from .server import Keys, Server

__all__ = [
    "Answer",
    "BlindsightError",
    "Check",
    "Client",
    "Compiled",
    "DamagedError",
    "FitError",
    "InputError",
    "Keys",
    "ModelError",
    "PlanError",
    "RemoteClient",
    "ReplyError",
    "Server",
    "ServerError",
    "Simulation",
    "check",
    "compile",
    "connect",
    "convert",
    "finetune",
]
