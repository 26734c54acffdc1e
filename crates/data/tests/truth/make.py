"""Makes the files of this folder: images and arrays in many forms, and what Pillow and numpy make of them.

    pip install pillow==13.0.0 numpy==2.4.6
    python make.py

Images are converted as torchvision does it to PIL images: `convert`, `Resize`, `CenterCrop`; torchvision
itself adds nothing to Pillow's resize but the two formulas in `transform`.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).parent
RNG = np.random.default_rng(7)


def transform(image, mode, height, width):
    """torchvision: convert, Resize, CenterCrop; for other than squares, the least size that covers."""
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        image = Image.alpha_composite(white, rgba).convert("RGB")
    image = image.convert(mode)
    w, h = image.size
    if width * h >= height * w:
        size = (width, int(width * h / w))
    else:
        size = (int(height * w / h), height)
    image = image.resize(size, Image.Resampling.BILINEAR)
    top, left = int(round((size[1] - height) / 2.0)), int(round((size[0] - width) / 2.0))
    pixels = np.asarray(image.crop((left, top, left + width, top + height)))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def photo(width, height):
    """Smooth colours, edges and some noise."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 120 * np.sin(x / a + y / b) for a, b in ((5, 9), (11, 4), (7, -6))]
    pixels = np.stack(waves, axis=-1)
    pixels[height // 4 : height // 2, width // 3 : width // 2] = (250, 20, 60)
    return Image.fromarray(np.clip(pixels + RNG.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8))


def images():
    picture, wide = photo(61, 43), photo(90, 31)
    alpha = Image.fromarray(np.linspace(0, 255, 61 * 43).reshape(43, 61).astype(np.uint8))
    rgba = picture.copy()
    rgba.putalpha(alpha)
    grey16 = Image.fromarray((np.asarray(picture.convert("L")).astype(np.uint16) * 257))
    exif = Image.Exif()
    exif[0x0112] = 6
    small = picture.resize((32, 32))
    saved = {
        "photo.png": (picture, {}),
        "photo.jpg": (picture, {"quality": 95, "subsampling": 0}),
        "photo.webp": (picture, {"lossless": True}),
        "photo.bmp": (picture, {}),
        "photo.tiff": (picture, {"compression": "tiff_lzw"}),
        "palette.gif": (picture.quantize(32), {}),
        "palette.png": (picture.quantize(16), {"bits": 4}),
        "bits.png": (picture.convert("1"), {}),
        "alpha.png": (rgba, {}),
        "grey-alpha.png": (rgba.convert("LA"), {}),
        "turned.jpg": (picture, {"quality": 95, "subsampling": 0, "exif": exif.tobytes()}),
        "wide.png": (wide, {}),
        "tall.png": (wide.transpose(Image.Transpose.ROTATE_90), {}),
        "enlarged.png": (picture.resize((11, 9)), {}),
        "exact.png": (small, {}),
    }
    for name, (image, options) in saved.items():
        image.save(HERE / name, **options)
        with Image.open(HERE / name) as again:
            again.load()
            truth = {f"{m}{h}x{w}": transform(again, m, h, w) for m, h, w in SIZES}
        np.savez_compressed(HERE / f"{name}.npz", **truth)
    # Pillow's own conversion of sixteen bits clips: the truth is the eight bits that they were made of.
    grey16.save(HERE / "grey16.png")
    truth = {f"{m}{h}x{w}": transform(picture.convert("L"), m, h, w) for m, h, w in SIZES}
    np.savez_compressed(HERE / "grey16.png.npz", **truth)


SIZES = [("RGB", 32, 32), ("L", 28, 28), ("RGB", 20, 36)]


def arrays():
    """One array of 2 x 3 x 4 in every type and order; all have the same values."""
    values = np.arange(24).reshape(2, 3, 4)
    for dtype in ("i1", "u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<u4", "<i8", ">i8", "<u8", ">u8"):
        np.save(HERE / f"{dtype.replace('<', 'le-').replace('>', 'be-')}.npy", values.astype(dtype))
    for dtype in ("<f2", ">f2", "<f4", ">f4", "<f8", ">f8"):
        array = np.asfortranarray((values / 8 - 1).astype(dtype))
        np.save(HERE / f"{dtype.replace('<', 'le-').replace('>', 'be-')}.npy", array)
    np.save(HERE / "bool.npy", values % 3 == 0)
    np.savez(HERE / "plain.npz", x=(values / 8 - 1).reshape(2, 12), y=np.array([1, 0]))
    np.savez_compressed(
        HERE / "parts.npz",
        x_train=values.astype(np.uint8).reshape(4, 2, 3),
        y_train=np.array([0, 1, 2, 1], dtype=np.uint8),
        x_test=np.flip(values.astype(np.uint8)).reshape(4, 2, 3),
        y_test=np.array([[2], [2], [1], [0]]),
    )


images()
arrays()
