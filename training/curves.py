"""Plots loss and accuracy per epoch."""

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "blindsight"  # the same curves give the same file

import matplotlib.pyplot as plt  # noqa: E402


def plot(title, histories, path):
    """Writes an SVG of `histories`: {"training run's name": [{"loss", "accuracy", ...} of each epoch]}."""
    figure, (losses, errors) = plt.subplots(1, 2, figsize=(10, 4.5))
    for run, history in histories.items():
        for key, style in (("training", ":"), ("clean", "-"), ("held_out", "-")):
            series = [(e["epoch"], e[key]) for e in history if key in e]
            if not series:
                continue
            epochs, values = zip(*series)
            label = f"{run}: {LABELS[key]}"
            losses.plot(epochs, [v["loss"] for v in values], style, label=label)
            errors.plot(epochs, [100 * (1 - v["accuracy"]) for v in values], style, label=label)
    _finish(losses, "loss (cross-entropy)")
    _finish(errors, "error rate (%)")
    figure.suptitle(title)
    figure.legend(*losses.get_legend_handles_labels(), loc="lower center", ncols=3, frameon=False)
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


LABELS = {
    "training": "distorted training images",
    "clean": "training images",
    "held_out": "held-out images",
}


def _finish(axes, quantity):
    axes.set(xlabel="epoch", ylabel=quantity, yscale="log")
    axes.grid(alpha=0.3, which="both")
