"""From a ReLU network of PyTorch to an encrypted answer: `python private_digits.py FOLDER`.

FOLDER holds MNIST's original files. Trains a small network first; says what each step costs.
"""

import sys
import time

import numpy as np
import torch
from torch import nn

import blindsight as bs


def images(folder, part):
    """MNIST's images as torchvision's usual transforms give them, and their classes."""
    import gzip

    def read(what, header):
        with gzip.open(f"{folder}/{part}-{what}-ubyte.gz") as file:
            return np.frombuffer(file.read(), np.uint8, offset=header)

    pixels = read("images-idx3", 16).reshape(-1, 1, 28, 28)
    return torch.tensor((pixels / 255 - 0.1307) / 0.3081).float(), torch.tensor(read("labels-idx1", 8)).long()


def loader(folder, part, batch=100, count=None):
    x, y = images(folder, part)
    data = torch.utils.data.TensorDataset(x[:count], y[:count])
    return torch.utils.data.DataLoader(data, batch, shuffle=part == "train", generator=torch.Generator().manual_seed(1))


def trained(train, epochs=2):
    """An ordinary network with ReLU."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 5, 2, 2), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 5, 2, 2), nn.BatchNorm2d(32),
        nn.ReLU(), nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(epochs):
        for x, y in train:
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
    return model.eval()


def accuracy(model, data):
    with torch.no_grad():
        return np.mean([(model(x).argmax(1) == y).float().mean().item() for x, y in data])


def main(folder, encrypted=200):
    clock = time.time()

    def done(what):
        print(f"-- {what}: {time.time() - clock:.0f} s", flush=True)

    train, test = loader(folder, "train"), loader(folder, "t10k")
    model = trained(train)
    done(f"trained, {accuracy(model, test):.2%} of the test images")

    # What a user writes.
    print(bs.check(model, next(iter(test))[0][:1]))
    poly = bs.convert(model, calibration=train)
    done(f"converted, {accuracy(poly.eval(), test):.2%}")
    bs.finetune(poly, train, epochs=2)
    done(f"fine-tuned, {accuracy(poly, test):.2%}")
    m = bs.compile(poly, calibration=train, mean=0.1307, std=0.3081, labels=list("0123456789"))
    print(m.explain())
    m.plot("plan.svg")
    simulated = m.simulate(test)
    print(simulated)
    m.save("client.zip", "server.zip")
    client, server = bs.Client("client.zip"), bs.Server("server.zip")
    keys = server.keys(client.evaluation_keys())
    done("compiled, simulated, keys made")

    x, y = images(folder, "t10k")
    errors, same, right = [], 0, 0
    for image, label in zip(x[:encrypted], y[:encrypted], strict=True):
        answer = client.decrypt(server.infer(keys, client.encrypt(image)), exact=True)
        plain = m.scores(image)[0]
        errors.append(answer.scores - plain)
        same += int(answer.index == plain.argmax())
        right += int(answer.index == label)
    error = np.sqrt(np.mean(np.square(errors)))
    print(f"{encrypted} encrypted: {right} right, {same} as in the clear, error {error:.2e} rms, "
          f"{error / simulated.error:.2f} of the simulated")
    print(answer, answer.top(5))
    done("all")


if __name__ == "__main__":
    main(*sys.argv[1:2])
