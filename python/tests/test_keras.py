"""Models of Keras 3 on PyTorch."""

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
pytest.importorskip("onnxscript")

import blindsight as bs  # noqa: E402

CLASSES = 4


class Shifted(keras.layers.Layer):
    """What is exported has a layer of the user's own in it."""

    def call(self, x):
        return x - 0.5


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(5)
    y = np.arange(400) % CLASSES
    x = random.uniform(0, 0.3, (400, 8, 8, 1)).astype(np.float32)
    for image, label in zip(x, y):
        image[4 * (label // 2) : 4 * (label // 2) + 4, 4 * (label % 2) : 4 * (label % 2) + 4] += 0.6
    return x, y


@pytest.fixture(scope="module")
def model(data):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            Shifted(),
            keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss)
    model.fit(*data, epochs=3, verbose=0)
    return model


def test_encrypted_classes_are_the_models(model, data, tmp_path):
    x, y = data
    bs.compile(model, calibration=(x, y)).save(tmp_path / "client.zip", tmp_path / "server.zip")
    client, server = bs.Client(tmp_path / "client.zip"), bs.Server(tmp_path / "server.zip")
    keys = server.keys(client.evaluation_keys())
    expected = model.predict(x[:20], verbose=0).argmax(1)
    answers = [client.decrypt(server.infer(keys, client.encrypt(image))) for image in x[:20]]
    assert sum(answer.index == c for answer, c in zip(answers, expected, strict=True)) >= 19


def test_what_is_not_supported_is_named(data):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(CLASSES)])
    found = str(bs.check(model))
    assert "ReduceMax" in found or "MaxPool" in found
