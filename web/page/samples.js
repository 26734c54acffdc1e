// Digits to take where drawing is no option: the strokes of the project's own sample digits (samples/draw.py), as points that
// a curve runs through.

const POINTS = [
  [[[58, 4], [38, 6], [20, 24], [14, 52], [20, 80], [38, 95], [58, 90], [74, 70], [78, 42], [70, 16], [54, 4], [44, 8]]],
  [[[52, 2], [49, 26], [46, 52], [43, 78], [41, 98]]],
  [[[18, 26], [26, 10], [44, 2], [62, 8], [68, 26], [60, 48], [42, 70], [22, 90], [16, 96]],
    [[16, 96], [36, 92], [56, 93], [80, 96]]],
  [[[20, 14], [36, 4], [56, 4], [68, 16], [64, 32], [50, 43], [38, 47]],
    [[38, 47], [58, 49], [72, 62], [70, 80], [54, 94], [34, 97], [16, 88]]],
  [[[26, 6], [22, 26], [18, 46], [22, 54], [40, 54], [64, 50]],
    [[68, 2], [65, 28], [61, 56], [57, 80], [55, 98]]],
  [[[72, 4], [54, 5], [34, 6]],
    [[34, 6], [30, 22], [26, 42]],
    [[26, 42], [42, 36], [60, 42], [70, 58], [66, 78], [50, 93], [32, 96], [16, 88]]],
  [[[62, 2], [44, 18], [28, 40], [20, 64], [24, 86], [40, 97], [58, 92], [68, 76], [62, 60], [46, 56], [30, 66], [23, 78]]],
  [[[14, 12], [34, 10], [54, 8], [74, 6]],
    [[74, 6], [64, 28], [52, 52], [43, 76], [38, 98]]],
  [[[66, 14], [50, 4], [32, 8], [26, 22], [36, 38], [54, 52], [68, 68], [66, 86], [48, 96], [30, 88], [26, 70], [38, 54], [54, 40], [66, 26], [66, 14]]],
  [[[68, 20], [54, 6], [36, 8], [24, 24], [26, 42], [42, 50], [58, 42], [68, 22]],
    [[68, 20], [67, 44], [63, 70], [57, 97]]],
];

/** Straight pieces between two points. */
const STEPS = 12;

/** The strokes of a digit, for a square of side 1. */
export function sample(digit) {
  return POINTS[digit].map((points) => curve(points).map(([x, y]) => [0.15 + (x / 100) * 0.7, 0.15 + (y / 100) * 0.7]));
}

export const SAMPLES = POINTS.length;

/** A Catmull-Rom spline through points, as a polyline. */
function curve(points) {
  const at = (i) => points[Math.min(Math.max(i, 0), points.length - 1)];
  const line = [];
  for (let i = 0; i + 1 < points.length; i++) {
    for (let step = 0; step < STEPS; step++) {
      line.push([0, 1].map((axis) => spline(step / STEPS, ...[-1, 0, 1, 2].map((k) => at(i + k)[axis]))));
    }
  }
  return [...line, points.at(-1)];
}

const spline = (t, a, b, c, d) =>
  0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t ** 2 + (3 * b - a - 3 * c + d) * t ** 3);
