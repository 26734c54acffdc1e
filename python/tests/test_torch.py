"""Modules of PyTorch: converting, fine-tuning, running encrypted."""

import numpy as np
import pytest
from test_package import digits_like

import blindsight as bs

torch = pytest.importorskip("torch")
nn = torch.nn


class Residual(nn.Module):
    """A branch and a functional activation: no nn.Sequential would show it."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 5, stride=3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.body = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6 * 9 * 9, 4)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = x + nn.functional.silu(self.body(x))
        return self.head(x.flatten(1))


@pytest.fixture(scope="module")
def data():
    inputs, labels = digits_like(1500)
    return torch.tensor(inputs[:, None], dtype=torch.float32), torch.tensor(labels)


@pytest.fixture(scope="module")
def loader(data):
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data), batch_size=100)


@pytest.fixture(scope="module")
def trained(loader):
    torch.manual_seed(1)
    model = Residual()
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(3):
        for x, y in loader:
            loss = nn.functional.cross_entropy(model(x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval()


@pytest.fixture(scope="module")
def poly(trained, loader):
    return bs.convert(trained, calibration=loader, max_drop=5)


def accuracy(model, data):
    with torch.no_grad():
        return (model(data[0]).argmax(1) == data[1]).float().mean().item()


def test_check_takes_a_module(trained, data):
    check = bs.check(trained, data[0][:1])
    assert not check.ok and any(problem.operator == "Relu" for problem in check.problems)


def test_the_module_computes_what_the_engine_does(poly, data):
    with torch.no_grad():
        ours = poly(data[0][:50]).double().numpy()
    rows = data[0][:50].double().numpy().reshape(50, -1)
    engine = poly._network.scores(rows)
    assert np.abs(ours - engine).max() < 1e-3 * np.abs(engine).max()


def test_weights_come_back(poly, data):
    rows = data[0][:5].double().numpy().reshape(5, -1)
    before, after = poly._network.scores(rows), poly.network().scores(rows)
    assert np.abs(before - after).max() < 1e-4 * np.abs(before).max()


def test_finetuned_and_encrypted(trained, poly, loader, data, tmp_path):
    before = accuracy(trained, data)
    assert bs.finetune(poly, loader, epochs=1, checkpoint=tmp_path / "tuned.pt") is poly
    assert accuracy(poly, data) >= before - 0.02
    compiled = bs.compile(poly, calibration=loader, labels=["-", "/", "|", "\\"])
    compiled.save(tmp_path / "client.zip", tmp_path / "server.zip")
    client, server = bs.Client(tmp_path / "client.zip"), bs.Server(tmp_path / "server.zip")
    keys = server.keys(client.evaluation_keys())
    for x in data[0][:3]:
        answer = client.decrypt(server.infer(keys, client.encrypt(x)))
        plain = compiled.scores(x)[0]
        assert np.abs(answer.scores - plain).max() < 9 * answer.predicted_error
        assert answer.label in compiled.labels


def test_an_interrupted_run_ends_as_one_that_was_not(trained, loader, tmp_path):
    whole = bs.finetune(bs.convert(trained, loader, max_drop=5), loader, epochs=2)
    path = tmp_path / "half.pt"

    class Interrupted(Exception):
        pass

    def stop(done, total, what):
        if done > total // 2:
            raise Interrupted

    halved = bs.convert(trained, loader, max_drop=5)
    with pytest.raises(Interrupted):
        bs.finetune(halved, loader, epochs=2, checkpoint=path, progress_of=stop)
    resumed = bs.finetune(bs.convert(trained, loader, max_drop=5), loader, epochs=2, checkpoint=path)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_cannot_be_converted_is_named(loader):
    class Odd(nn.Module):
        def forward(self, x):
            return x.flatten(1).sort(1).values[:, :4]

    with pytest.raises(bs.ModelError):
        bs.convert(Odd(), loader)
    with pytest.raises(bs.ModelError, match="finetune takes"):
        bs.finetune(nn.Linear(2, 2), loader)
