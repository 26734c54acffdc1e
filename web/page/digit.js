// From strokes to the picture that the network was trained on: MNIST's frame, 28x28 grey pixels, white on black, the
// digit 20 pixels along its longer side with its centre of mass in the middle.
//
// A stroke is a list of points [x, y] in any unit, y downwards. Pixels are computed here and not read back from a canvas:
// they are the same in every browser, also in those that blur what they read back.

export const SIDE = 28;
const BOX = 20;
const BRUSH = 2.4;
/** How far the brush's edge fades, in pixels: scanned ink is soft. */
const SOFT = 1.4;

/** The pixels of a digit, row by row; none where nothing was drawn. */
export function rasterise(strokes) {
  const points = strokes.flat();
  if (points.length === 0) return null;
  const boxed = fitted(strokes, bounds(points));
  const [x, y] = centreOfMass(paint(boxed));
  return paint(moved(boxed, SIDE / 2 - x, SIDE / 2 - y));
}

function bounds(points) {
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  return { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
}

/** The strokes scaled so that the digit, brush included, fills the box, in the middle of the frame. */
function fitted(strokes, { left, right, top, bottom }) {
  const scale = (BOX - BRUSH) / Math.max(right - left, bottom - top, 1e-9);
  // A dot stays a dot.
  const bounded = Math.min(scale, SIDE * 1e3);
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  return strokes.map((stroke) => stroke.map(([a, b]) => [(a - x) * bounded + SIDE / 2, (b - y) * bounded + SIDE / 2]));
}

const moved = (strokes, dx, dy) => strokes.map((stroke) => stroke.map(([x, y]) => [x + dx, y + dy]));

/** Every pixel's grey follows from its distance to the nearest stroke. */
function paint(strokes) {
  const pixels = new Uint8Array(SIDE * SIDE);
  for (let i = 0; i < pixels.length; i++) {
    const centre = [(i % SIDE) + 0.5, Math.floor(i / SIDE) + 0.5];
    const distance = Math.min(...strokes.map((stroke) => distanceTo(stroke, centre)));
    const cover = (BRUSH / 2 - distance) / SOFT + 0.5;
    pixels[i] = Math.round(255 * Math.min(1, Math.max(0, cover)));
  }
  return pixels;
}

function distanceTo(stroke, point) {
  if (stroke.length === 1) return toSegment(point, stroke[0], stroke[0]);
  let least = Infinity;
  for (let i = 1; i < stroke.length; i++) least = Math.min(least, toSegment(point, stroke[i - 1], stroke[i]));
  return least;
}

function toSegment([x, y], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length));
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
}

function centreOfMass(pixels) {
  let [weight, x, y] = [0, 0, 0];
  pixels.forEach((grey, i) => {
    weight += grey;
    x += grey * ((i % SIDE) + 0.5);
    y += grey * (Math.floor(i / SIDE) + 0.5);
  });
  return [x / weight, y / weight];
}
