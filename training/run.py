"""The training loop, with checkpoints that it continues from."""

import copy
import math
import os
import sys
import time

import torch
import torch.nn.functional as F

from augment import augment
from averaging import Averaged
from data import DATASETS, normalise
from mixup import mixed
from model import build, settle, squares
from optimise import Optimiser
from plain import CHUNK
from pruning import Pruner

SAMPLE = 10_000
"""Training images, the first of the file, on which progress is measured without augmentation."""

SHOWN = ("training", "clean", "held_out")


def load(checkpoint):
    """What `checkpoint` holds, or nothing where there is no such file."""
    return torch.load(checkpoint, weights_only=True, map_location="cpu") if checkpoint.is_file() else None


class Run:
    """One training run. It leaves a checkpoint after every epoch that is measured, and continues from it when it starts again.

    All randomness of an epoch comes from generators seeded by the recipe's seed and the epoch's number, so an
    interrupted run ends with the same weights as an uninterrupted one. `teacher`, where the recipe distils, is a
    network whose scores are learned from.
    """

    def __init__(self, spec, training, held_out, checkpoint, fresh=False, device="cpu", teacher=None):
        self.spec, self.checkpoint, self.device, self.teacher = spec, checkpoint, torch.device(device), teacher
        self.training, self.held_out = training.to(device), held_out and held_out.to(device)
        self.recipe = recipe = spec.recipe
        self.fingerprint = repr(spec)
        torch.manual_seed(recipe.seed)
        dataset = DATASETS[spec.dataset]
        self.model = build(spec, dataset.shape, len(dataset.classes))
        self.model.to(self.device, memory_format=torch.channels_last)
        for square in squares(self.model):
            square.penalise = recipe.range_sample if recipe.range_penalty else 0.0
        self.averaged = Averaged(self.model, recipe.averaging) if recipe.averaging else None
        self.pruner = Pruner(self.model, recipe.pruning) if recipe.pruning else None
        self.steps = len(training) // recipe.batch
        self.optimiser = Optimiser(self.model, recipe)
        self.history = []
        if not fresh:
            self._resume()

    def result(self):
        """The network as it stands: the averaged one where there is an average, pruned for good."""
        network = copy.deepcopy(self.averaged.model if self.averaged else self.model).eval()
        if self.pruner:
            self.pruner.prune(network)
        return network

    def train(self):
        """Trains to the end; returns the network and what was measured of it, and when."""
        first, start = self.history[-1]["epoch"] if self.history else 0, time.monotonic()
        for epoch in range(first, self.recipe.epochs):
            entry = {"epoch": epoch + 1, "training": self._epoch(epoch)}
            if (epoch + 1) % self.recipe.measured and epoch + 1 < self.recipe.epochs:
                continue
            entry["clean"] = self._measure(self.training[:SAMPLE])
            if self.held_out is not None:
                entry["held_out"] = self._measure(self.held_out)
            self.history.append(entry)
            self._save()
            left = (time.monotonic() - start) / (epoch + 1 - first) * (self.recipe.epochs - epoch - 1)
            self._report(entry, left)
        return self._settled(self.result()), self.history

    def _settled(self, network):
        """`network` with batch norm's statistics over the training images as the recipe wants them."""
        if self.recipe.median_norm:
            batches = self.training.pixels.split(self.recipe.batch)
            with self._autocast():
                settle(network, (self._input(batch) for batch in batches if len(batch) == self.recipe.batch))
        return network

    def _input(self, pixels):
        return normalise(self.spec, pixels).contiguous(memory_format=torch.channels_last)

    def _pace(self, step):
        """The share of the learning rates at a step counted over all epochs: linear warm-up over the first, then a cosine."""
        warm_up = min(1, (step + 1) / self.steps)
        return warm_up * (1 + math.cos(math.pi * step / (self.steps * self.recipe.epochs))) / 2

    def _epoch(self, epoch):
        """One pass over the training images, in random order and augmented; returns the loss and accuracy met."""
        recipe, seed = self.recipe, 1_000_003 * self.recipe.seed + epoch
        torch.manual_seed(seed)
        generator = torch.Generator(self.device).manual_seed(seed)
        order = torch.randperm(len(self.training), generator=generator, device=self.device)
        if self.pruner:
            self.pruner.advance(epoch)
        loss_sum, correct = torch.zeros(2, device=self.device).unbind()
        self.model.train()
        for step, which in enumerate(order[: self.steps * recipe.batch].split(recipe.batch), epoch * self.steps):
            batch = self.training[which]
            images = augment(normalise(self.spec, batch.pixels), recipe.augmentation, generator)
            images, targets = mixed(images, self._targets(batch.labels), recipe.mixup, generator)
            loss, scores = self._loss(images, targets)
            self._step(loss, step)
            loss_sum += loss.detach()
            correct += (scores.argmax(1) == targets.argmax(1)).sum()
        return {"loss": loss_sum.item() / self.steps, "accuracy": correct.item() / (self.steps * recipe.batch)}

    def _autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16)

    def _targets(self, labels):
        """The probabilities that `labels` stand for."""
        one_hot = F.one_hot(labels, len(DATASETS[self.spec.dataset].classes)).float()
        return one_hot.lerp(torch.full_like(one_hot, 1 / one_hot.shape[1]), self.recipe.label_smoothing)

    def _loss(self, images, targets):
        """The recipe's loss on augmented `images`, and their scores."""
        recipe = self.recipe
        images = images.contiguous(memory_format=torch.channels_last)
        with self._autocast():
            scores = self.model(images).float()
        loss = F.cross_entropy(scores, targets)
        if recipe.distillation:
            share, temperature = recipe.distillation.share, recipe.distillation.temperature
            with torch.no_grad(), self._autocast():
                taught = F.log_softmax(self.teacher(images).float() / temperature, 1)
            apart = F.kl_div(F.log_softmax(scores / temperature, 1), taught, reduction="batchmean", log_target=True)
            loss = (1 - share) * loss + share * temperature**2 * apart
        if recipe.range_penalty:
            loss = loss + recipe.range_penalty * sum(square.take_excess() for square in squares(self.model))
        return loss, scores

    def _step(self, loss, step):
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step(self._pace(step))
        if self.pruner:
            self.pruner.prune(self.model)
        if self.averaged:
            self.averaged.update(self.model)

    @torch.no_grad()
    def _measure(self, images):
        """Loss and accuracy of the result so far on images as they are."""
        network, loss_sum, correct = self.result(), 0.0, 0
        for start in range(0, len(images), CHUNK):
            chunk = images[start : start + CHUNK]
            with self._autocast():
                scores = network(self._input(chunk.pixels)).float()
            loss_sum += F.cross_entropy(scores, chunk.labels, reduction="sum").item()
            correct += (scores.argmax(1) == chunk.labels).sum().item()
        return {"loss": loss_sum / len(images), "accuracy": correct / len(images)}

    def _report(self, entry, seconds_left):
        shown = [f"{self.spec.name} epoch {entry['epoch']}/{self.recipe.epochs}"]
        for key in SHOWN:
            if key in entry:
                shown.append(f"{key} loss {entry[key]['loss']:.4f} accuracy {100 * entry[key]['accuracy']:.2f} %")
        shown.append(f"{seconds_left / 60:.1f} min left")
        print(" | ".join(shown), file=sys.stderr, flush=True)

    def _parts(self):
        """Everything with a state, by name."""
        parts = {"model": self.model, "optimiser": self.optimiser, "averaged": self.averaged, "pruner": self.pruner}
        return {name: part for name, part in parts.items() if part}

    def _save(self):
        state = {"fingerprint": self.fingerprint, "history": self.history}
        state |= {name: part.state_dict() for name, part in self._parts().items()}
        unfinished = self.checkpoint.with_suffix(".partial")
        torch.save(state, unfinished)
        os.replace(unfinished, self.checkpoint)

    def _resume(self):
        state = load(self.checkpoint)
        if state is None:
            return
        if state["fingerprint"] != self.fingerprint:
            sys.exit(f"error: {self.checkpoint} is of another recipe: give --fresh to start again, or put it aside")
        self.history = state["history"]
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        print(f"{self.spec.name}: resumed after epoch {self.history[-1]['epoch']}", file=sys.stderr)
