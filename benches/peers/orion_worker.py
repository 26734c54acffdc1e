"""Orion: its own layers and compiler, parameters of its own lola.yml (for LeNet the smallest that 128 bits allow for its depth)."""

import numpy as np
import orion
import orion.nn as on
import torch

import networks
import worker


class Network(on.Module):
    """The layers by name: conv1, fc1, ... (Orion breaks on a layer that is called `f`)."""

    def __init__(self, name):
        super().__init__()
        self.steps, channels, side, inputs = [], 1, networks.SIDE, None
        for index, (layer, (weight, bias)) in enumerate(zip(networks.NETWORKS[name], networks.weights(name)), 1):
            if index > 1:
                self.add(f"act{index}", on.Quad())
            if isinstance(layer, networks.Conv):
                shape = dict(kernel_size=layer.kernel, stride=layer.stride, padding=layer.padding)
                module = on.Conv2d(channels, layer.maps, **shape)
                side = (side + 2 * layer.padding - layer.kernel) // layer.stride + 1
                channels = layer.maps
                self.add(f"conv{index}", module)
            else:
                if inputs is None:
                    inputs = channels * side * side
                    self.add("flatten", on.Flatten())
                module, inputs = on.Linear(inputs, layer.units), layer.units
                self.add(f"fc{index}", module)
            with torch.no_grad():
                module.weight.copy_(torch.tensor(weight))
                module.bias.copy_(torch.tensor(bias))

    def add(self, name, module):
        setattr(self, name, module)
        self.steps.append(name)

    def forward(self, x):
        for name in self.steps:
            x = getattr(self, name)(x)
        return x


def parameters(name):
    deep = 2 * len(networks.NETWORKS[name]) - 1
    degree = 13 if deep <= 5 else 14
    ckks = dict(LogN=degree, LogQ=[29] + [26] * deep, LogP=[29, 29], LogScale=26, H=8192, RingType="ConjugateInvariant")
    options = dict(margin=2, embedding_method="hybrid", backend="lattigo", fuse_modules=True, debug=False)
    return dict(ckks_params=ckks, orion=dict(options, io_mode="none", diags_path="", keys_path=""))


def prepare(name):
    config = parameters(name)
    orion.init_scheme(config)
    network = Network(name)
    network.eval()
    pixels = torch.tensor(networks.image(), dtype=torch.float32)[None, None]
    orion.fit(network, pixels)
    level = orion.compile(network)
    encrypted = orion.encrypt(orion.encode(pixels, level))
    network.he()

    def run():
        with torch.no_grad():
            result, times = worker.timed(lambda: network(encrypted))
        scores = result.decrypt().decode()
        return times, np.asarray(scores).ravel()[:10]

    facts = {key: config["ckks_params"][key] for key in ("LogN", "LogQ", "LogP")}
    return dict(version="1.0.2", parameters=facts), run


worker.serve(prepare)
