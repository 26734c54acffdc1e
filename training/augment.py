"""Random changes to a batch of images that leave their labels true. The generator must be on the images' device."""

import torch
import torch.nn.functional as F

from networks import Distortion

KNOTS = 4
"""The displacement field is drawn on a KNOTS x KNOTS grid and interpolated."""


def augment(images, augmentation, generator):
    """`images` [count, channels, size, size], changed as `augmentation` says; what comes from outside is 0."""
    if isinstance(augmentation, Distortion):
        return distort(images, augmentation, generator)
    return crop_flip(images, augmentation, generator)


def crop_flip(images, augmentation, generator):
    """Every image shifted by whole pixels, half of them mirrored, a square of each blanked."""
    count, channels, size, _ = images.shape
    reach, device = augmentation.shift, images.device

    def drawn(limit):
        return torch.randint(limit, (count, 1), generator=generator, device=device)

    line = torch.arange(size, device=device)
    rows = drawn(2 * reach + 1) + line
    columns = drawn(2 * reach + 1) + torch.where(drawn(2) == 1, size - 1 - line, line)
    padded = F.pad(images, [reach] * 4)
    which = torch.arange(count * channels, device=device).view(count, channels, 1, 1)
    moved = padded.flatten(0, 1)[which, rows[:, None, :, None], columns[:, None, None, :]]
    if augmentation.cutout:
        inside = [(line - drawn(size)).abs() < augmentation.cutout / 2 for _ in range(2)]
        moved = moved.masked_fill(inside[0][:, None, :, None] & inside[1][:, None, None, :], 0)
    return moved


def _uniform(shape, limit, generator):
    return (2 * torch.rand(shape, generator=generator, device=generator.device) - 1) * limit


def _affine(count, size, augmentation, generator):
    """Matrices [count, 2, 3] that take output positions, in [-1, 1], to input positions."""
    angle = _uniform(count, augmentation.degrees * torch.pi / 180, generator)
    zoom_x, zoom_y = (1 + _uniform((2, count), augmentation.zoom, generator)).unbind()
    shear = _uniform(count, augmentation.shear, generator)
    shift_x, shift_y = _uniform((2, count), 2 * augmentation.shift / size, generator).unbind()
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([zoom_x * cos, shear - sin, shift_x], dim=1)
    row_y = torch.stack([sin, zoom_y * cos, shift_y], dim=1)
    return torch.stack([row_x, row_y], dim=1)


def distort(images, augmentation, generator):
    """The first `share` of the images turned, shifted, zoomed, sheared and bent."""
    count = round(len(images) * augmentation.share)
    return torch.cat([_distorted(images[:count], augmentation, generator), images[count:]])


def _distorted(images, augmentation, generator):
    count, _, size, _ = images.shape
    theta = _affine(count, size, augmentation, generator)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    knots = _uniform((count, 2, KNOTS, KNOTS), 2 * augmentation.elastic / size, generator)
    field = F.interpolate(knots, size=(size, size), mode="bicubic", align_corners=True)
    return F.grid_sample(images, grid + field.permute(0, 2, 3, 1), align_corners=False)
