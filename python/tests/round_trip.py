"""A digit, encrypted end to end, with nothing but numpy beside the package: `python round_trip.py`."""

import platform
import tempfile
from pathlib import Path

import numpy as np

import blindsight as bs

MODEL = Path(__file__).parents[2] / "models" / "lola-small-mnist.onnx"

compiled = bs.compile(MODEL)
with tempfile.TemporaryDirectory() as folder:
    client_file, server_file = Path(folder, "client.zip"), Path(folder, "server.zip")
    compiled.save(client_file, server_file)
    client, server = bs.Client(client_file), bs.Server(server_file)
keys = server.keys(client.evaluation_keys())
image = np.zeros((1, 28, 28), np.uint8)
image[0, 6:22, 13:16] = 255  # a one
answer = client.decrypt(server.infer(keys, client.encrypt(image)))
expected = compiled.scores(image)
assert answer.index == int(np.argmax(expected)), (answer, expected)
print(f"{platform.machine()}, Python {platform.python_version()}: {answer.label}, margin {answer.margin:.3g}")
