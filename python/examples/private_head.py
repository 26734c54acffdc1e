"""Private embeddings: a public backbone on the client, the private head on the server.

`python private_head.py`: features of scikit-learn's digits from a small backbone that is trained here on the classes
0 to 4; the head, a logistic regression, knows all ten. The idea is LoLa's (arXiv 1812.10659, section 5).
"""

import time

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn

import blindsight as bs


def backbone(x, y):
    """A public network: its features, for any image."""
    torch.manual_seed(1)
    features = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Flatten())
    whole = nn.Sequential(features, nn.Linear(64 * 16, 5))
    optimiser = torch.optim.Adam(whole.parameters(), 1e-3)
    known = y < 5
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(whole(x[known]), y[known]).backward()
        optimiser.step()
    return features.eval()


def main():
    digits = load_digits()
    x = torch.tensor(digits.images[:, None] / 16, dtype=torch.float32)
    y = torch.tensor(digits.target)
    public = backbone(x[:1400], y[:1400])
    with torch.no_grad():
        features = public(x).numpy()
    head = LogisticRegression(max_iter=3000).fit(features[:1400], y[:1400].numpy())
    print(f"in the clear: {head.score(features[1400:], y[1400:].numpy()):.2%} of {features.shape[1]} features")

    m = bs.compile(head, calibration=(features[:1400], y[:1400].numpy()))
    print(m.explain())
    m.save("client.zip", "server.zip")
    client, server = bs.Client("client.zip"), bs.Server("server.zip")
    keys = server.keys(client.evaluation_keys())
    times, right = [], 0
    for row, label in zip(features[1400:1500], y[1400:1500], strict=True):
        request = client.encrypt(row)
        start = time.perf_counter()
        reply = server.infer(keys, request)
        times.append(time.perf_counter() - start)
        right += int(client.decrypt(reply).index == label)
    print(f"encrypted: {right} of 100 right, {1e3 * np.median(times):.2f} ms and {len(request):,} bytes a request")
    assert right >= 90


if __name__ == "__main__":
    main()
