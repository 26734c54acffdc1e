"""Blends of images, and of what they are (Zhang et al. 2018, arXiv 1710.09412)."""

import torch


def mixed(images, targets, share, generator):
    """The first `share` of the images blended with others of them, each at a weight of its own, and their `targets` alike."""
    count = round(share * len(images))
    if not count:
        return images, targets
    device = images.device
    weight = torch.rand(count, 1, generator=generator, device=device)
    other = torch.randperm(len(images), generator=generator, device=device)[:count]

    def blend(values):
        return torch.cat([values[:count].lerp(values[other], weight.view(-1, *[1] * (values.dim() - 1))), values[count:]])

    return blend(images), blend(targets)
