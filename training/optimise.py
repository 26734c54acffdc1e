"""How weights take their steps."""

import torch
from torch import nn


class Optimiser:
    """AdamW for all weights, or, where the recipe says so, Muon for those that are matrices.

    Muon (Jordan et al. 2024, as PyTorch has it) takes matrices: a convolution's kernels are seen as one, a row for each
    map. The last layer, whose rows are classes, stays with AdamW.
    """

    def __init__(self, model, recipe):
        self.kernels = _kernels(model) if recipe.muon else []
        matrices = {id(kernel) for kernel in self.kernels}
        rest = [weight for weight in model.parameters() if id(weight) not in matrices]
        self.parts = [torch.optim.AdamW(rest, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)]
        self.views = [nn.Parameter(kernel.data.view(len(kernel), -1)) for kernel in self.kernels]
        if self.views:
            muon = recipe.muon
            self.parts.append(torch.optim.Muon(self.views, lr=muon.learning_rate, weight_decay=muon.weight_decay))
        self.rates = [part.param_groups[0]["lr"] for part in self.parts]

    def zero_grad(self):
        for weight in [*self.kernels, *(w for part in self.parts for group in part.param_groups for w in group["params"])]:
            weight.grad = None

    def step(self, pace):
        """A step at a share of `pace` of the learning rates."""
        for kernel, view in zip(self.kernels, self.views):
            view.grad = kernel.grad.reshape(len(kernel), -1)
        for part, rate in zip(self.parts, self.rates):
            part.param_groups[0]["lr"] = pace * rate
            part.step()

    def state_dict(self):
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state):
        for part, of_part in zip(self.parts, state["parts"]):
            part.load_state_dict(of_part)


def _kernels(model):
    """The weights of all linear layers but the last, in memory row by row."""
    linears = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))][:-1]
    for linear in linears:
        linear.weight.data = linear.weight.data.contiguous()
    return [linear.weight for linear in linears]
