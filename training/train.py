"""Trains one of Blindsight's networks and exports it: `python train.py cryptonets-mnist --data DIR`.

Hyperparameters are chosen with `--validate`, which sets the last training images aside and reports on them;
the final run trains on everything and meets the test images once, as an exported file.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import torch

import curves
import plain
from data import DATASETS, HOLDOUT, DataError, normalise
from export import export
from model import fold
from networks import NETWORKS
from run import SAMPLE, Run, load

HERE = Path(__file__).parent


def main():
    options = parse_options()
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True
    spec = chosen(options)
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


def chosen(options):
    """The network that was asked for, its recipe changed as asked."""
    spec = NETWORKS[options.network]
    changes = {"epochs": options.epochs} if options.epochs else {}
    if options.alone:
        changes["distillation"] = None
    return dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, **changes))


def parse_options():
    parser = argparse.ArgumentParser(description="Train a network with square activations and export it as ONNX.")
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set's original files")
    parser.add_argument("--out", type=Path, default=HERE.parent / "models", help="where the model goes")
    parser.add_argument("--checkpoints", type=Path, default=HERE / "checkpoints")
    parser.add_argument("--validate", action="store_true", help=f"hold {HOLDOUT} training images out, report on them")
    parser.add_argument("--fresh", action="store_true", help="do not resume from a checkpoint")
    parser.add_argument("--epochs", type=int, help="other than the recipe's")
    parser.add_argument("--alone", action="store_true", help="without the recipe's teacher, if it has one")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    return parser.parse_args()


def start(spec, training, held_out, options):
    """The run of `spec`, begun or resumed, after that of its teacher."""
    checkpoint = options.checkpoints / f"{spec.name}{'.validate' if held_out else ''}.pt"
    fresh = options.fresh and spec.name == options.network
    teacher = None
    if spec.recipe.distillation:
        teacher = start(NETWORKS[spec.recipe.distillation.teacher], training, held_out, options).train()[0]
    return Run(spec, training, held_out, checkpoint, fresh, options.device, teacher)


def validate(spec, training, options):
    """Trains without the held-out images and prints the accuracy on them."""
    _, history = start(spec, training[:-HOLDOUT], training[-HOLDOUT:], options).train()
    print(f"held-out accuracy: {100 * history[-1]['held_out']['accuracy']:.2f} % of {HOLDOUT} images")


def produce(spec, training, test, options):
    """Trains on all training images, exports the model, prints its accuracy on the test images, plots the curves; of a
    teacher, its checkpoint is all that stays."""
    run = start(spec, training, None, options)
    network, history = run.train()
    if spec.is_teacher:
        print(f"trained; --validate measures it -> {run.checkpoint}")
        return
    images = normalise(spec, training.pixels[: SAMPLE if spec.tail else None])
    layers = plain.equalise(plain.without_dead_units(fold(network.cpu())), images, spec.tail)
    layers = plain.halved(layers) if spec.halves else layers
    path, ranges = options.out / f"{spec.name}.onnx", plain.ranges(layers, images)
    bound = plain.exceeded(plain.scores(layers, images).flatten()[None], spec.tail).item()
    accuracy = export(spec, layers, ranges, bound, test, path)
    for name, found in ranges.items():
        print(f"{name}: largest {found['max']:.2f}, rms {found['rms']:.2f}")
    print(f"test accuracy: {100 * accuracy:.2f} % of {len(test)} images -> {path}")
    histories = {"final": history}
    rehearsal = load(options.checkpoints / f"{spec.name}.validate.pt")
    if rehearsal and rehearsal["fingerprint"] == run.fingerprint:
        histories["rehearsal"] = rehearsal["history"]
    curves.plot(spec.name, histories, path.with_suffix(".svg"))


if __name__ == "__main__":
    main()
