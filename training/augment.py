"""Random small distortions of a batch of images: one affine map and one smooth displacement field each."""

import torch
import torch.nn.functional as F

KNOTS = 4
"""The displacement field is drawn on a KNOTS x KNOTS grid and interpolated."""


def _uniform(shape, limit, generator):
    return (2 * torch.rand(shape, generator=generator) - 1) * limit


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
    """`images` [count, channels, size, size], the first `share` of them distorted; what comes from outside is 0."""
    count = round(len(images) * augmentation.share)
    return torch.cat([_distorted(images[:count], augmentation, generator), images[count:]])


def _distorted(images, augmentation, generator):
    count, _, size, _ = images.shape
    theta = _affine(count, size, augmentation, generator)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    knots = _uniform((count, 2, KNOTS, KNOTS), 2 * augmentation.elastic / size, generator)
    field = F.interpolate(knots, size=(size, size), mode="bicubic", align_corners=True)
    return F.grid_sample(images, grid + field.permute(0, 2, 3, 1), align_corners=False)
