"""Trains one of Blindsight's networks and exports it: `python train.py cryptonets-mnist --data DIR`.

Hyperparameters are chosen with `--validate`, which sets the last training images aside and reports on them;
the final run trains on everything and meets the test images once, as an exported file.
"""

import argparse
import dataclasses
import math
import os
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import curves
from augment import distort
from data import DATASETS, HOLDOUT, DataError, normalise
from export import export
from model import build, fold
from networks import NETWORKS
from plain import CHUNK, equalise, ranges

HERE = Path(__file__).parent


def main():
    options = parse_options()
    torch.set_num_threads(options.threads)
    spec = NETWORKS[options.network]
    if options.epochs:
        spec = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, epochs=options.epochs))
    try:
        training = DATASETS[spec.dataset].load(options.data, "train")
        test = DATASETS[spec.dataset].load(options.data, "test")
    except DataError as error:
        sys.exit(f"error: {error}")
    options.checkpoints.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.validate:
        validate(spec, training, options)
    else:
        produce(spec, training, test, options)


def parse_options():
    parser = argparse.ArgumentParser(description="Train a network with square activations and export it as ONNX.")
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set's original files")
    parser.add_argument("--out", type=Path, default=HERE.parent / "models", help="where the model goes")
    parser.add_argument("--checkpoints", type=Path, default=HERE / "checkpoints")
    parser.add_argument("--validate", action="store_true", help=f"hold {HOLDOUT} training images out, report on them")
    parser.add_argument("--fresh", action="store_true", help="do not resume from a checkpoint")
    parser.add_argument("--epochs", type=int, help="other than the recipe's")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def validate(spec, training, options):
    """Trains without the held-out images and prints the accuracy on them."""
    held_out = training[-HOLDOUT:]
    checkpoint = options.checkpoints / f"{spec.name}.validate.pt"
    _, history = Run(spec, training[:-HOLDOUT], held_out, checkpoint, options.fresh).train()
    print(f"held-out accuracy: {100 * history[-1]['held_out']['accuracy']:.2f} % of {HOLDOUT} images")


def produce(spec, training, test, options):
    """Trains on all training images, exports the model, prints its accuracy on the test images, plots the curves."""
    run = Run(spec, training, None, options.checkpoints / f"{spec.name}.pt", options.fresh)
    model, history = run.train()
    images = normalise(spec, training.pixels).double()
    layers = equalise(fold(model), images)
    path = options.out / f"{spec.name}.onnx"
    accuracy = export(spec, layers, training, test, path)
    for name, found in ranges(layers, images).items():
        print(f"{name}: largest {found['max']:.2f}, rms {found['rms']:.2f}")
    print(f"test accuracy: {100 * accuracy:.2f} % of {len(test)} images -> {path}")
    histories = {"final": history}
    rehearsal = load(options.checkpoints / f"{spec.name}.validate.pt")
    if rehearsal and rehearsal["fingerprint"] == run.fingerprint:
        histories["rehearsal"] = rehearsal["history"]
    curves.plot(spec.name, histories, path.with_suffix(".svg"))


def load(checkpoint):
    """What `checkpoint` holds, or nothing where there is no such file."""
    return torch.load(checkpoint, weights_only=True) if checkpoint.is_file() else None


class Run:
    """One training run. It leaves a checkpoint after every epoch, and continues from it when it starts again.

    All randomness of an epoch comes from a generator seeded by the recipe's seed and the epoch's number, so an
    interrupted run ends with the same weights as an uninterrupted one.
    """

    def __init__(self, spec, training, held_out, checkpoint, fresh=False):
        self.spec, self.training, self.held_out, self.checkpoint = spec, training, held_out, checkpoint
        self.recipe = recipe = spec.recipe
        self.fingerprint = repr(spec)
        torch.manual_seed(recipe.seed)
        dataset = DATASETS[spec.dataset]
        self.model = build(spec, dataset.shape, len(dataset.classes))
        self.steps = len(training) // recipe.batch
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.history = []
        if not fresh:
            self._resume()

    def _learning_rate(self, step):
        """The learning rate at a step counted over all epochs: linear warm-up over the first epoch, then a cosine."""
        warm_up = min(1, (step + 1) / self.steps)
        return self.recipe.learning_rate * warm_up * (1 + math.cos(math.pi * step / (self.steps * self.recipe.epochs))) / 2

    def train(self):
        """Trains to the end; returns the model and, for every epoch, what was measured."""
        first, start = len(self.history), time.monotonic()
        for epoch in range(first, self.recipe.epochs):
            entry = {"epoch": epoch + 1, "training": self._epoch(epoch), "clean": self._measure(self.training)}
            if self.held_out is not None:
                entry["held_out"] = self._measure(self.held_out)
            self.history.append(entry)
            self._save()
            left = (time.monotonic() - start) / (epoch + 1 - first) * (self.recipe.epochs - epoch - 1)
            self._report(entry, left)
        return self.model.eval(), self.history

    def _epoch(self, epoch):
        """One pass over the training images, in random order and distorted; returns the loss and accuracy met."""
        recipe = self.recipe
        generator = torch.Generator().manual_seed(1_000_003 * recipe.seed + epoch)
        order = torch.randperm(len(self.training), generator=generator)
        loss_sum, correct = 0.0, 0
        self.model.train()
        for step, which in enumerate(order[: self.steps * recipe.batch].split(recipe.batch), epoch * self.steps):
            self.optimiser.param_groups[0]["lr"] = self._learning_rate(step)
            batch = self.training[which]
            images = distort(normalise(self.spec, batch.pixels), recipe.augmentation, generator)
            scores = self.model(images)
            loss = F.cross_entropy(scores, batch.labels, label_smoothing=recipe.label_smoothing)
            self.optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimiser.step()
            loss_sum += loss.item()
            correct += (scores.argmax(1) == batch.labels).sum().item()
        return {"loss": loss_sum / self.steps, "accuracy": correct / (self.steps * recipe.batch)}

    @torch.no_grad()
    def _measure(self, images):
        """Loss and accuracy on undistorted images, as at inference."""
        self.model.eval()
        loss_sum, correct = 0.0, 0
        for start in range(0, len(images), CHUNK):
            chunk = images[start : start + CHUNK]
            scores = self.model(normalise(self.spec, chunk.pixels))
            loss_sum += F.cross_entropy(scores, chunk.labels, reduction="sum").item()
            correct += (scores.argmax(1) == chunk.labels).sum().item()
        return {"loss": loss_sum / len(images), "accuracy": correct / len(images)}

    def _report(self, entry, seconds_left):
        shown = [f"epoch {entry['epoch']}/{self.recipe.epochs}"]
        for key in ("training", "clean", "held_out"):
            if key in entry:
                shown.append(f"{key} loss {entry[key]['loss']:.4f} accuracy {100 * entry[key]['accuracy']:.2f} %")
        shown.append(f"{seconds_left / 60:.1f} min left")
        print(" | ".join(shown), file=sys.stderr, flush=True)

    def _save(self):
        state = {
            "fingerprint": self.fingerprint,
            "history": self.history,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
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
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        print(f"resumed after epoch {len(self.history)}", file=sys.stderr)


if __name__ == "__main__":
    main()
