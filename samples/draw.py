"""Draws the sample digits: `python draw.py` writes digit-0.png ... digit-9.png beside this file.

A digit is a few strokes; a stroke is a smooth curve through hand-placed points. It is rendered large with a round
brush, brought to MNIST's frame (20 pixels along its longer side, centre of mass in the middle of 28x28) and
averaged down, white on black.
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

SIDE = 28  # pixels of the finished image
BOX = 20  # pixels of the digit's longer side, brush included
ZOOM = 16  # the drawing is this many times larger than the finished image
BRUSH = 2.4  # pixels across
STEPS = 24  # straight pieces between two points of a stroke

# Points (x, y), y downwards, in units of our own choice: only their proportions matter.
DIGITS = {
    0: [[(58, 4), (38, 6), (20, 24), (14, 52), (20, 80), (38, 95), (58, 90), (74, 70), (78, 42), (70, 16), (54, 4), (44, 8)]],
    1: [[(52, 2), (49, 26), (46, 52), (43, 78), (41, 98)]],
    2: [[(18, 26), (26, 10), (44, 2), (62, 8), (68, 26), (60, 48), (42, 70), (22, 90), (16, 96)],
        [(16, 96), (36, 92), (56, 93), (80, 96)]],
    3: [[(20, 14), (36, 4), (56, 4), (68, 16), (64, 32), (50, 43), (38, 47)],
        [(38, 47), (58, 49), (72, 62), (70, 80), (54, 94), (34, 97), (16, 88)]],
    4: [[(26, 6), (22, 26), (18, 46), (22, 54), (40, 54), (64, 50)],
        [(68, 2), (65, 28), (61, 56), (57, 80), (55, 98)]],
    5: [[(72, 4), (54, 5), (34, 6)],
        [(34, 6), (30, 22), (26, 42)],
        [(26, 42), (42, 36), (60, 42), (70, 58), (66, 78), (50, 93), (32, 96), (16, 88)]],
    6: [[(62, 2), (44, 18), (28, 40), (20, 64), (24, 86), (40, 97), (58, 92), (68, 76), (62, 60), (46, 56), (30, 66), (23, 78)]],
    7: [[(14, 12), (34, 10), (54, 8), (74, 6)],
        [(74, 6), (64, 28), (52, 52), (43, 76), (38, 98)]],
    8: [[(66, 14), (50, 4), (32, 8), (26, 22), (36, 38), (54, 52), (68, 68), (66, 86), (48, 96), (30, 88), (26, 70),
         (38, 54), (54, 40), (66, 26), (66, 14)]],
    9: [[(68, 20), (54, 6), (36, 8), (24, 24), (26, 42), (42, 50), (58, 42), (68, 22)],
        [(68, 20), (67, 44), (63, 70), (57, 97)]],
}


def curve(points):
    """A Catmull-Rom spline through `points`, as a polyline."""
    ends = [points[0], *points, points[-1]]
    line = []
    for before, start, stop, after in zip(ends, ends[1:], ends[2:], ends[3:]):
        for step in range(STEPS):
            t = step / STEPS
            line.append(tuple(
                0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
                for a, b, c, d in zip(before, start, stop, after)
            ))
    return [*line, points[-1]]


def render(strokes):
    """The strokes, in pixels of the finished image, as a large grey image."""
    large = Image.new("L", (SIDE * ZOOM, SIDE * ZOOM))
    brush, radius = ImageDraw.Draw(large), BRUSH * ZOOM / 2
    for stroke in strokes:
        stroke = [(x * ZOOM, y * ZOOM) for x, y in stroke]
        brush.line(stroke, fill=255, width=round(2 * radius))
        for x, y in stroke:
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return large


def framed(strokes):
    """The strokes scaled so that the digit fills the box, its corner at the image's."""
    xs, ys = zip(*(point for stroke in strokes for point in stroke))
    scale = (BOX - BRUSH) / max(max(xs) - min(xs), max(ys) - min(ys))
    return [[((x - min(xs)) * scale + BRUSH / 2, (y - min(ys)) * scale + BRUSH / 2) for x, y in s] for s in strokes]


def centre_of_mass(image):
    """Where the ink's weight lies, in pixels of the finished image."""
    columns = image.resize((image.width, 1), Image.Resampling.BOX).tobytes()
    rows = image.resize((1, image.height), Image.Resampling.BOX).tobytes()
    return tuple(sum((i + 0.5) * v for i, v in enumerate(line)) / sum(line) / ZOOM for line in (columns, rows))


def draw(strokes):
    """The finished image of a digit."""
    strokes = framed([curve(points) for points in strokes])
    x, y = centre_of_mass(render(strokes))
    centred = [[(px + SIDE / 2 - x, py + SIDE / 2 - y) for px, py in stroke] for stroke in strokes]
    soft = render(centred).filter(ImageFilter.GaussianBlur(ZOOM / 2))
    return soft.resize((SIDE, SIDE), Image.Resampling.BOX)


if __name__ == "__main__":
    for digit, strokes in DIGITS.items():
        draw(strokes).save(Path(__file__).parent / f"digit-{digit}.png", optimize=True)
