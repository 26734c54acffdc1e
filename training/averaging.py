"""A moving average of a network's weights, which is steadier than the weights that training ends with."""

import copy

import torch


class Averaged:
    """The moving average of all that `model` holds, batch norm's statistics included; `decay` is by step."""

    def __init__(self, model, decay):
        self.model, self.decay, self.steps = copy.deepcopy(model), decay, 0

    @torch.no_grad()
    def update(self, model):
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))  # the start is soon forgotten
        pairs = list(zip(self.model.state_dict().values(), model.state_dict().values()))
        averaged, current = zip(*(pair for pair in pairs if pair[0].is_floating_point()))
        torch._foreach_lerp_(averaged, current, 1 - decay)
        for old, new in pairs:
            if not old.is_floating_point():
                old.copy_(new)

    def state_dict(self):
        return {"model": self.model.state_dict(), "steps": self.steps}

    def load_state_dict(self, state):
        self.model.load_state_dict(state["model"])
        self.steps = state["steps"]
