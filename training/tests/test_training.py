"""The pipeline on small synthetic data: seconds, no data set needed."""

import argparse
import dataclasses
import gzip
import struct

import numpy as np
import onnx
import pytest
import torch

import plain
from augment import crop_flip, distort
from data import DATASETS, DataError, Images, load_cifar10, load_mnist, normalise
from export import export, onnx_scores, to_onnx
from model import build, fold, settle
from networks import (
    CRYPTONETS_MNIST,
    NETWORKS,
    Conv,
    CropFlip,
    Dense,
    Distillation,
    Distortion,
    MaxPool,
    MeanPool,
    Muon,
    NetworkSpec,
    Pruning,
    Relu,
    Residual,
    Square,
)
from mixup import mixed
from optimise import Optimiser
from run import Run, load
from train import start

TWO_CONVOLUTIONS = NetworkSpec(
    name="two-convolutions",
    description="a padded convolution read by another one",
    dataset="mnist",
    layers=(Conv(4, 5, 2, 2), Square(), Conv(6, 3, 2, 1), Square(), Dense(10)),
    recipe=CRYPTONETS_MNIST.recipe,
    mean=(0.25,),
    std=(0.5,),
)
SPECS = pytest.mark.parametrize("spec", [CRYPTONETS_MNIST, TWO_CONVOLUTIONS], ids=lambda spec: spec.name)


def synthetic(count, seed=7):
    """Ten classes: a bright 6x6 block whose place says the class, over noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (count,), generator=generator)
    pixels = torch.randint(0, 80, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
    for image, label in zip(pixels, labels.tolist()):
        row, column = 3 + 12 * (label // 5), 5 * (label % 5)
        image[0, row : row + 6, column : column + 6] = 230
    return Images(pixels, labels)


def trained(spec, images):
    """A network whose batch norms have seen `images`, with batch norm weights far from 1 and 0."""
    torch.manual_seed(3)
    model = build(spec, (1, 28, 28), 10)
    for module in model:
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            torch.nn.init.normal_(module.weight, 1.0, 0.3)
            torch.nn.init.normal_(module.bias, 0.0, 0.5)
    for batch in normalise(spec, images.pixels).split(50):
        model(batch)
    return model.eval()


@SPECS
def test_folding_changes_no_score(spec):
    images = synthetic(200)
    model = trained(spec, images).double()
    inputs = normalise(spec, images.pixels).double()
    with torch.no_grad():
        torch.testing.assert_close(plain.scores(fold(model), inputs), model(inputs), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name, spec in NETWORKS.items() if not spec.is_teacher])
def test_every_network_equals_its_export(name):
    spec = NETWORKS[name]
    dataset = DATASETS[spec.dataset]
    pixels = torch.randint(256, (8, *dataset.shape), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    inputs = normalise(spec, pixels)
    torch.manual_seed(1)
    model = build(spec, dataset.shape, len(dataset.classes))
    model(inputs)  # for the batch norms to have seen something
    layers = fold(model.eval())
    with torch.no_grad():
        expected = model(inputs)
    if spec.halves:
        layers = plain.halved(layers)
        # Of random weights the scores are near zero, so rounding is told from their size.
        torch.testing.assert_close(plain.scores(layers, inputs), expected, rtol=0, atol=2e-2 * expected.abs().max())
        expected = plain.scores(layers, inputs)
    torch.testing.assert_close(onnx_scores(to_onnx(spec, layers), inputs), expected, rtol=1e-3, atol=1e-3)


@SPECS
def test_equalising_scales_and_centres_the_scores_and_does_nothing_else(spec):
    images = synthetic(200)
    inputs = normalise(spec, images.pixels).double()
    before = fold(trained(spec, images))
    after = plain.equalise(before, inputs)
    centred = plain.scores(before, inputs)
    centred = centred - centred.mean(1, keepdim=True)
    expected = centred * plain.SCORE_RMS / centred.square().mean().sqrt()
    torch.testing.assert_close(plain.scores(after, inputs), expected, rtol=1e-9, atol=1e-9)


@SPECS
def test_equalising_gives_every_unit_the_same_largest_value(spec):
    images = synthetic(200)
    inputs = normalise(spec, images.pixels).double()
    layers = plain.equalise(fold(trained(spec, images)), inputs)
    for index in (0, 2):
        outputs = plain.run(layers, inputs)[index].abs().transpose(0, 1).flatten(1).amax(1)
        torch.testing.assert_close(outputs, torch.full_like(outputs, plain.LARGEST))
    found = plain.ranges(layers, inputs)
    names = list(found)
    assert found[names[0]]["max"] == plain.LARGEST and found[names[1]]["max"] == plain.LARGEST**2
    assert found[names[-1]]["rms"] == plain.SCORE_RMS


def test_a_short_training_learns_and_its_export_agrees(tmp_path):
    recipe = dataclasses.replace(
        CRYPTONETS_MNIST.recipe,
        epochs=4,
        batch=50,
        augmentation=Distortion(share=0.5, degrees=3.0, shift=0.5, zoom=0.03, shear=0.03, elastic=0.3),
    )
    spec = dataclasses.replace(CRYPTONETS_MNIST, recipe=recipe)
    training, test = synthetic(1_000), synthetic(300, seed=8)
    model, history = Run(spec, training, None, tmp_path / "run.pt").train()
    assert history[-1]["training"]["loss"] < history[0]["training"]["loss"]
    inputs = normalise(spec, training.pixels).double()
    layers = plain.equalise(fold(model), inputs)
    largest = plain.scores(layers, inputs).abs().max().item()
    accuracy = export(spec, layers, plain.ranges(layers, inputs), largest, test, tmp_path / "model.onnx")
    assert accuracy > 0.95
    described = onnx.load(tmp_path / "model.onnx")
    assert [node.op_type for node in described.graph.node] == ["Conv", "Mul", "Flatten", "Gemm", "Mul", "Gemm"]
    metadata = {entry.key: entry.value for entry in described.metadata_props}
    assert metadata["blindsight.accuracy"] == f"{accuracy:.4f}"
    assert metadata["blindsight.input_range"] == "0,1"
    assert float(metadata["blindsight.score_bound"]) >= 1.5 * largest


EVERYTHING = dict(
    averaging=0.9,
    dropout=0.2,
    range_penalty=0.1,
    median_norm=True,
    bfloat16=True,
    mixup=0.5,
    muon=Muon(learning_rate=0.02, weight_decay=0.1),
    pruning=Pruning(first_epoch=0, last_epoch=2, taps=9, units=31, density=(0.3, 0.1, 0.5)),
)
"""Recipe entries that have a state or draw random numbers."""


@pytest.mark.parametrize("extra", [{}, EVERYTHING], ids=["plain", "everything"])
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path, extra):
    recipe = dataclasses.replace(CRYPTONETS_MNIST.recipe, epochs=3, batch=50, **extra)
    spec = dataclasses.replace(CRYPTONETS_MNIST, recipe=recipe)
    images = synthetic(200)
    whole, _ = Run(spec, images, None, tmp_path / "whole.pt").train()

    class Interrupted(Exception):
        pass

    class Halting(Run):
        def _report(self, entry, seconds_left):
            if entry["epoch"] == 2:
                raise Interrupted

    with pytest.raises(Interrupted):
        Halting(spec, images, None, tmp_path / "halved.pt").train()
    resumed = Run(spec, images, None, tmp_path / "halved.pt")
    assert len(resumed.history) == 2
    model, _ = resumed.train()
    for expected, found in zip(whole.state_dict().values(), model.state_dict().values()):
        assert torch.equal(expected, found)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    recipe = dataclasses.replace(CRYPTONETS_MNIST.recipe, epochs=1, batch=50)
    spec = dataclasses.replace(CRYPTONETS_MNIST, recipe=recipe)
    Run(spec, synthetic(100), None, tmp_path / "run.pt").train()
    other = dataclasses.replace(spec, recipe=dataclasses.replace(recipe, seed=2))
    with pytest.raises(SystemExit, match="another recipe"):
        Run(other, synthetic(100), None, tmp_path / "run.pt")


def test_pruning_leaves_what_it_says_and_the_export_knows_it(tmp_path):
    pruning = Pruning(first_epoch=0, last_epoch=2, taps=12, units=31, density=(0.4, 0.1, 0.5))
    recipe = dataclasses.replace(CRYPTONETS_MNIST.recipe, epochs=4, batch=50, averaging=0.9, pruning=pruning)
    spec, images = dataclasses.replace(CRYPTONETS_MNIST, recipe=recipe), synthetic(500)
    network, _ = Run(spec, images, None, tmp_path / "run.pt").train()
    conv, _, hidden, _, last = plain.without_dead_units(fold(network))
    assert (conv.weight != 0).any(0).any(0).sum() == 12
    assert (hidden.weight != 0).any(1).sum() <= 31 and (hidden.bias[31:] == 0).all() and (hidden.weight[31:] == 0).all()
    for layer, density in zip((conv, hidden, last), pruning.density):
        kept = (layer.weight != 0).sum().item() / layer.weight.numel()
        assert 0.5 * density < kept <= density + 0.01
    inputs = normalise(spec, images.pixels).double()
    before = plain.scores(fold(network), inputs)
    torch.testing.assert_close(plain.scores(plain.without_dead_units(fold(network)), inputs), before)
    assert (plain.equalise(plain.without_dead_units(fold(network)), inputs)[2].weight != 0).any(1).sum() <= 31


def test_all_that_a_student_learns_may_be_its_teachers(tmp_path):
    images = synthetic(300)
    recipe = dataclasses.replace(CRYPTONETS_MNIST.recipe, batch=50, augmentation=CropFlip(shift=0))
    inputs = normalise(CRYPTONETS_MNIST, images.pixels)
    known = {one.numpy().tobytes(): label for both in (inputs, inputs.flip(3)) for one, label in zip(both, images.labels)}

    def teacher(batch):
        labels = torch.stack([known[one.numpy().tobytes()] for one in batch])
        return 10 * torch.nn.functional.one_hot(labels, 10).float()

    recipe = dataclasses.replace(recipe, epochs=6, distillation=Distillation("any", 1.0, 1.0))
    spec = dataclasses.replace(CRYPTONETS_MNIST, recipe=recipe)
    mislabelled = Images(images.pixels, (images.labels + 1) % 10)
    student, _ = Run(spec, mislabelled, None, tmp_path / "student.pt", teacher=teacher).train()
    found = student(inputs).argmax(1)
    assert (found == images.labels).double().mean() > 0.9


def test_a_teacher_is_trained_first(tmp_path, monkeypatch):
    recipe = dataclasses.replace(CRYPTONETS_MNIST.recipe, epochs=1, batch=50)
    monkeypatch.setitem(NETWORKS, "first", dataclasses.replace(CRYPTONETS_MNIST, name="first", recipe=recipe))
    recipe = dataclasses.replace(recipe, distillation=Distillation("first", 0.5, 2.0))
    spec = dataclasses.replace(CRYPTONETS_MNIST, name="second", recipe=recipe)
    options = argparse.Namespace(checkpoints=tmp_path, fresh=True, network="second", device="cpu")
    second = start(spec, synthetic(100), None, options)
    assert len(load(tmp_path / "first.pt")["history"]) == 1
    second.train()
    assert len(load(tmp_path / "second.pt")["history"]) == 1


def test_an_outlier_does_not_move_the_statistics_of_a_settled_network():
    model = build(CRYPTONETS_MNIST, (1, 28, 28), 10)
    batches = [normalise(CRYPTONETS_MNIST, synthetic(50, seed=seed).pixels) for seed in range(5)]
    batches[3][7] *= 1e6
    settle(model, batches)
    convolved = [model[0](batch).transpose(0, 1).flatten(1) for batch in batches]
    torch.testing.assert_close(model[1].running_mean, torch.stack([c.mean(1) for c in convolved]).median(0).values)
    torch.testing.assert_close(model[1].running_var, torch.stack([c.var(1) for c in convolved]).median(0).values)
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_muon_steps_are_orthogonal_and_matrices_alone_take_them(weight_decay):
    recipe = dataclasses.replace(CRYPTONETS_MNIST.recipe, muon=Muon(learning_rate=0.1, weight_decay=weight_decay))
    torch.manual_seed(5)
    model = build(CRYPTONETS_MNIST, (1, 28, 28), 10)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    optimiser = Optimiser(model, recipe)
    model(torch.randn(20, 1, 28, 28)).square().mean().backward()
    optimiser.step(0.5)
    hidden = [module.weight for module in model if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear))][:-1]
    for name, weight in model.named_parameters():
        assert not torch.equal(weight, before[name])
        if any(weight is matrix for matrix in hidden):
            step = (before[name] * (1 - 0.05 * weight_decay) - weight.detach()).flatten(1) / 0.05
            rows, columns = step.shape
            largest = torch.linalg.svdvals(step)[:5] / max(1, rows / columns) ** 0.5
            assert largest.min() > 0.6 and largest.max() < 1.3, largest


def test_blends_lie_between_images_and_so_do_their_targets():
    generator = torch.Generator().manual_seed(4)
    images, targets = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 1, 2, 2), torch.eye(8)
    blended, said = mixed(images, targets, 0.5, generator)
    assert torch.equal(blended[4:], images[4:]) and torch.equal(said[4:], targets[4:])
    assert not torch.equal(blended[:4], images[:4])
    torch.testing.assert_close(said.sum(1), torch.ones(8))
    torch.testing.assert_close(blended[:, 0, 0, 0], said @ torch.arange(8.0))


def test_a_teacher_may_have_what_a_network_that_ships_has_not():
    spec = dataclasses.replace(CRYPTONETS_MNIST, layers=(Conv(4, 3), Relu(), Residual((Conv(4, 3, 1, 1), Relu())), MaxPool(), Dense(10)))
    assert spec.is_teacher and not CRYPTONETS_MNIST.is_teacher
    model = build(spec, (1, 28, 28), 10).eval()
    x = torch.randn(3, 1, 28, 28)
    inside = torch.relu(model[1](model[0](x)))
    branch = model[3].branch
    inside = inside + torch.relu(branch[1](branch[0](inside)))
    expected = model[-1](torch.nn.functional.max_pool2d(inside, 2).flatten(1))
    torch.testing.assert_close(model(x), expected)


def test_the_mean_of_a_map_goes_into_the_dense_layer():
    spec = dataclasses.replace(TWO_CONVOLUTIONS, layers=(*TWO_CONVOLUTIONS.layers[:-1], MeanPool(), Dense(10)))
    images = synthetic(100)
    model = trained(spec, images).double()
    inputs = normalise(spec, images.pixels).double()
    assert model[-1].weight.shape == (10, 6)
    with torch.no_grad():
        torch.testing.assert_close(plain.scores(fold(model), inputs), model(inputs), rtol=1e-9, atol=1e-9)


def test_the_same_layers_give_the_same_file():
    layers = fold(trained(CRYPTONETS_MNIST, synthetic(100)))
    first, second = (to_onnx(CRYPTONETS_MNIST, layers).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_weights_in_half_precision_halve_the_file_and_are_exact():
    layers = plain.halved(fold(trained(TWO_CONVOLUTIONS, synthetic(100))))
    whole = to_onnx(TWO_CONVOLUTIONS, layers)
    half = to_onnx(dataclasses.replace(TWO_CONVOLUTIONS, halves=True), layers)
    inputs = normalise(TWO_CONVOLUTIONS, synthetic(20).pixels)
    assert torch.equal(onnx_scores(whole, inputs), onnx_scores(half, inputs))
    stored = {initialiser.name: initialiser.data_type for initialiser in half.graph.initializer}
    kinds = {stored[f"{name}.weight"] for name in ("conv1", "conv2", "dense1")}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert half.ByteSize() < 0.7 * whole.ByteSize()


def test_onnx_takes_one_image_and_many():
    images = synthetic(20)
    model = to_onnx(CRYPTONETS_MNIST, fold(trained(CRYPTONETS_MNIST, images)))
    inputs = normalise(CRYPTONETS_MNIST, images.pixels)
    torch.testing.assert_close(onnx_scores(model, inputs[:1]), onnx_scores(model, inputs)[:1], rtol=1e-4, atol=1e-4)


def test_distortion_leaves_the_rest_of_the_batch_and_the_background():
    images = torch.zeros(10, 1, 28, 28)
    images[:, :, 12:16, 12:16] = 1.0
    augmentation = Distortion(share=0.6, degrees=10, shift=1, zoom=0.1, shear=0.1, elastic=1)
    distorted = distort(images, augmentation, torch.Generator().manual_seed(1))
    assert torch.equal(distorted[6:], images[6:])
    assert all(not torch.equal(a, b) for a, b in zip(distorted[:6], images))
    assert distorted[:, :, :4].abs().max() == 0


def test_crop_and_flip_move_whole_pixels():
    images = torch.arange(64 * 3 * 64.0).view(64, 3, 8, 8) + 1
    moved = crop_flip(images, CropFlip(shift=2), torch.Generator().manual_seed(1))
    found = set()
    for before, after in zip(images, moved):
        padded = torch.nn.functional.pad(before, [2] * 4)
        views = {
            (flip, row, column): padded[:, row : row + 8, column : column + 8].flip([2] * flip)
            for flip in (0, 1)
            for row in range(5)
            for column in range(5)
        }
        matching = [which for which, view in views.items() if torch.equal(view, after)]
        assert len(matching) == 1
        found.add(matching[0])
    assert len(found) > 20
    blanked = crop_flip(images, CropFlip(shift=0, cutout=4), torch.Generator().manual_seed(1))
    assert all(4 <= (image == 0).any(0).sum() <= 16 for image in blanked)


def test_cifar10_batches_are_read(tmp_path):
    records = np.random.default_rng(1).integers(0, 256, (10_000, 3_073), np.uint8)
    records[:, 0] %= 10
    (tmp_path / "test_batch.bin").write_bytes(records.tobytes())
    images = load_cifar10(tmp_path, "test")
    assert images.labels.tolist() == records[:, 0].tolist()
    assert images.pixels[7, 2, 5, 3] == records[7, 1 + 2 * 1_024 + 5 * 32 + 3]
    records[9, 0] = 10
    (tmp_path / "test_batch.bin").write_bytes(records.tobytes())
    with pytest.raises(DataError, match="labels from 0 to 9"):
        load_cifar10(tmp_path, "test")
    (tmp_path / "test_batch.bin").write_bytes(bytes(3_073 * 9_999))
    with pytest.raises(DataError, match="10,000 records"):
        load_cifar10(tmp_path, "test")


def idx(magic, shape, content):
    return struct.pack(f">{1 + len(shape)}I", magic, *shape) + content


def write_mnist(folder, images, labels):
    (folder / "train-images-idx3-ubyte").write_bytes(images)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))


def test_idx_files_are_read_plain_and_gzipped(tmp_path):
    pixels = np.arange(2 * 784, dtype=np.uint32).astype(np.uint8)
    write_mnist(tmp_path, idx(0x803, (2, 28, 28), pixels.tobytes()), idx(0x801, (2,), bytes([3, 9])))
    images = load_mnist(tmp_path, "train")
    assert images.labels.tolist() == [3, 9]
    assert np.array_equal(images.pixels.flatten().numpy(), pixels)


@pytest.mark.parametrize(
    "images, labels, complaint",
    [
        (b"\0\0", idx(0x801, (1,), b"\1"), "header of 16 bytes"),
        (idx(0x801, (1, 28, 28), bytes(784)), idx(0x801, (1,), b"\1"), "magic number"),
        (idx(0x803, (2, 28, 28), bytes(784)), idx(0x801, (1,), b"\1"), "expected 1568 bytes"),
        (idx(0x803, (1, 28, 28), bytes(784)), idx(0x801, (2,), b"\1\2"), "2 labels"),
    ],
)
def test_malformed_idx_files_are_refused(tmp_path, images, labels, complaint):
    write_mnist(tmp_path, images, labels)
    with pytest.raises(DataError, match=complaint):
        load_mnist(tmp_path, "train")


def test_a_missing_data_set_is_named(tmp_path):
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        load_mnist(tmp_path, "train")
