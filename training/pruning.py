"""Weights that become exactly zero while a network is trained: whole taps, whole hidden units, single weights.

A weight once pruned stays so. What is pruned is what is smallest: single weights relative to the others that feed the
same unit, since batch norm makes the scale of a unit's weights arbitrary.
"""

import torch
from torch import nn


class Pruner:
    """The masks of a network's linear layers, and the schedule by which they thin out."""

    def __init__(self, model, pruning):
        self.pruning, self.linears = pruning, _linears(model)
        if len(self.linears) != len(pruning.density) or not isinstance(self.linears[-2], nn.Linear):
            raise ValueError(f"{pruning}: expected {len(self.linears)} densities, the last two of dense layers")
        modules = list(model)
        self.hidden_norm = modules[modules.index(self.linears[-2]) + 1]
        self.masks = [torch.ones_like(linear.weight) for linear in self.linears]

    def state_dict(self):
        return {str(i): mask for i, mask in enumerate(self.masks)}

    def load_state_dict(self, state):
        self.masks = [state[str(i)].to(mask.device) for i, mask in enumerate(self.masks)]

    @torch.no_grad()
    def advance(self, epoch):
        """Thins the masks to what is due in `epoch` (from 0); from `last_epoch` on they are final."""
        pruning = self.pruning
        past = (epoch + 1 - pruning.first_epoch) / (pruning.last_epoch - pruning.first_epoch)
        remaining = (1 - min(1.0, max(0.0, past))) ** 3
        self._keep_taps(_due(self.masks[0][0, 0].numel(), pruning.taps, remaining))
        self._keep_units(_due(len(self.masks[-2]), pruning.units, remaining))
        for linear, mask, density in zip(self.linears, self.masks, pruning.density):
            _keep_weights(linear.weight, mask, density + (1 - density) * remaining)
        for linear, mask in zip(self.linears, self.masks):
            linear.weight.mul_(mask)

    def _keep_taps(self, count):
        """Leaves the `count` kernel positions of the first layer whose weights are largest over all maps."""
        weight, mask = self.linears[0].weight, self.masks[0]
        share = (weight * mask).square() / (weight * mask).square().sum((1, 2, 3), keepdim=True)
        size = share.sum((0, 1)).flatten()
        mask.flatten(2)[..., size.argsort(descending=True)[count:]] = 0

    def _keep_units(self, count):
        """Leaves the `count` units of the last hidden layer whose squares the last layer reads most."""
        gain = self.hidden_norm.weight
        size = (self.linears[-1].weight * self.masks[-1]).norm(dim=0) * gain.square()
        dropped = size.argsort(descending=True)[count:]
        self.masks[-2][dropped] = 0
        self.masks[-1][:, dropped] = 0

    @torch.no_grad()
    def prune(self, model):
        """Sets the pruned weights of `model`, which may be a copy of the network, to zero."""
        for linear, mask in zip(_linears(model), self.masks):
            linear.weight.mul_(mask)


def _keep_weights(weight, mask, density):
    """Leaves the `density` of the weights that are largest beside the others of their unit."""
    units = (weight * mask).flatten(1)
    size = (units.abs() / units.norm(dim=1, keepdim=True).clamp(min=1e-12)).flatten()
    mask.view(-1)[size.argsort(descending=True)[round(density * mask.numel()) :]] = 0


def _linears(model):
    return [module for module in model if isinstance(module, (nn.Conv2d, nn.Linear))]


def _due(whole, final, remaining):
    """How many of `whole` stay when `remaining` (from 1 to 0) of the pruning is still to be done."""
    return final + round((whole - final) * remaining)
