"""TenSEAL: the operations of its fourth tutorial, with the tutorial's parameters where the network fits their slots."""

import tenseal

import networks
import worker

MODULI = [31, 26, 26, 26, 26, 26, 26, 31]
"""Bits of the tutorial's primes: six levels, of which a convolution takes two."""


def degree(layers):
    """The least ring degree whose N / 2 slots hold the first convolution: each window's rows, filled up to a power of two."""
    first = layers[0]
    if not isinstance(first, networks.Conv):
        return 8192
    windows = ((networks.SIDE + 2 * first.padding - first.kernel) // first.stride + 1) ** 2
    taps = first.kernel**2
    return max(8192, 2 * windows * (1 << (taps - 1).bit_length()))


def prepare(name):
    layers, weights = networks.NETWORKS[name], networks.weights(name)
    if any(isinstance(layer, networks.Conv) for layer in layers[1:]):
        raise worker.NotOffered("TenSEAL's convolution takes an input that the client has laid out: there can be no second one")
    least = degree(layers)
    if least > 32768:
        raise worker.NotOffered(f"its convolution needs ring degree {least}")
    size = 1 << (least - 1).bit_length()
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, size, -1, MODULI, n_threads=1)
    context.global_scale = 2**26
    context.generate_galois_keys()
    encrypted, windows = encrypt(context, layers[0])
    inner = [(weight.reshape(len(bias), -1).T.tolist(), bias.tolist()) for weight, bias in weights]
    kernels = weights[0][0].reshape(len(weights[0][1]), *weights[0][0].shape[-2:]).tolist() if windows else None

    def forward():
        if windows:
            maps = [encrypted.conv2d_im2col(k, windows) + b for k, b in zip(kernels, inner[0][1])]
            x = tenseal.CKKSVector.pack_vectors(maps)
        else:
            x = encrypted.mm(inner[0][0]) + inner[0][1]
        for weight, bias in inner[1:]:
            x.square_()
            x = x.mm(weight) + bias
        return x

    def run():
        result, times = worker.timed(forward)
        return times, result.decrypt()

    facts = dict(LogN=size.bit_length() - 1, LogQP=MODULI)
    return dict(version=tenseal.__version__, parameters=facts), run


def encrypt(context, first):
    """The image laid out for the first layer, and the number of the window's positions if that is a convolution."""
    pixels = networks.image()
    if not isinstance(first, networks.Conv):
        return tenseal.ckks_vector(context, pixels.ravel().tolist()), None
    pad = first.padding
    side = networks.SIDE + 2 * pad
    padded = [[0.0] * side for _ in range(side)]
    for y, row in enumerate(pixels.tolist()):
        padded[y + pad][pad : pad + networks.SIDE] = row
    return tenseal.im2col_encoding(context, padded, first.kernel, first.kernel, first.stride)


worker.serve(prepare)
