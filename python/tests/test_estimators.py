"""Estimators of scikit-learn, by way of skl2onnx."""

import warnings

import numpy as np
import pytest

import blindsight as bs

pytest.importorskip("skl2onnx")
datasets = pytest.importorskip("sklearn.datasets")

from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.svm import LinearSVC  # noqa: E402


@pytest.mark.parametrize("load", [datasets.load_breast_cancer, datasets.load_iris])
@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(max_iter=5000),
        LinearSVC(),
        make_pipeline(StandardScaler(), MLPClassifier((12,), max_iter=1500, random_state=1)),
    ],
)
def test_encrypted_classes_are_the_estimators(load, estimator, tmp_path):
    table = load()
    x, y = table.data.astype(np.float32), table.target
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(x, y)
    m = bs.compile(estimator, calibration=(x, y), labels=list(table.target_names), max_drop=3)
    m.save(tmp_path / "client.zip", tmp_path / "server.zip")
    client, server = bs.Client(tmp_path / "client.zip"), bs.Server(tmp_path / "server.zip")
    keys = server.keys(client.evaluation_keys())
    rows = np.random.default_rng(1).permutation(len(x))[:20]
    answers = [client.decrypt(server.infer(keys, client.encrypt(x[row]))) for row in rows]
    same = [a.index == c for a, c in zip(answers, estimator.predict(x[rows]), strict=True)]
    assert sum(same) >= 19, "a polynomial may differ from ReLU next to the decision"
    assert {a.label for a in answers} <= set(table.target_names)


def test_what_has_no_converter_is_named():
    from sklearn.neighbors import KNeighborsClassifier

    table = datasets.load_iris()
    estimator = KNeighborsClassifier().fit(table.data, table.target)
    with pytest.raises(bs.ModelError):
        bs.compile(estimator)
