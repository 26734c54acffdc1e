"""What the tests share: a network of the repository, compiled once, and a server of the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import blindsight as bs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def digits():
    """The smallest shipped network, planned."""
    return bs.compile(str(ROOT / "models" / "lola-small-mnist.onnx"))


@pytest.fixture(scope="session")
def saved(digits, tmp_path_factory):
    """Its two files."""
    folder = tmp_path_factory.mktemp("saved")
    paths = folder / "client.zip", folder / "server.zip"
    digits.save(*paths)
    return paths


@pytest.fixture(scope="session")
def pair(saved):
    """A client and a server, with the client's keys."""
    client, server = bs.Client(saved[0]), bs.Server(saved[1])
    return client, server, server.keys(client.evaluation_keys())


@pytest.fixture
def digit():
    """A seven, roughly, as 8-bit pixels."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[6:9, 7:21] = 255
    for row in range(9, 24):
        column = 19 - (row - 9) // 2
        pixels[row, column : column + 3] = 255
    return pixels


@pytest.fixture
def serving(tmp_path):
    """A running `blindsight serve`, as its address, a token and its certificate's fingerprint."""
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config"), "NO_COLOR": "1"}
    folder, command = str(tmp_path / "server"), [sys.executable, "-m", "blindsight"]
    serve = [*command, "serve", "--model", "lola-small-mnist", "--folder", folder, "--address", "127.0.0.1:0", "--json"]
    process = subprocess.Popen(serve, env=environment, stdout=subprocess.PIPE, text=True)
    text = ""
    while "}" not in text:
        line = process.stdout.readline()
        assert line, f"serve ended: {text}"
        text += line
    document = json.loads(text)
    token = subprocess.run(
        [*command, "token", "create", "--folder", folder, "tests", "--json"],
        env=environment, capture_output=True, text=True, check=True,
    )
    yield process, document["address"], json.loads(token.stdout)["token"], document["fingerprint"]
    process.kill()
    process.wait()
