// From an image file to the pixels that a network takes: cropped in the middle to the network's shape, and averaged down.

/** Pixels of the crop that are averaged for one of the network's, along each side, at the most. */
const FINEST = 16;
/** Weights of red, green and blue in a grey (ITU-R BT.601). */
const LUMA = [0.299, 0.587, 0.114];

/** Reads an image file; a refusal says what came. */
export async function readPicture(file) {
  try {
    // Numbers as they stand in the file: the network was trained on such.
    return await createImageBitmap(file, { colorSpaceConversion: 'none' });
  } catch {
    throw new Error(`This browser cannot read \u201c${file.name}\u201d as an image. PNG and JPEG files will do.`);
  }
}

/** The pixels for a network that takes `[channels, height, width]`, in the order channel, row, column: grey, or red, green and blue. */
export function fitted(picture, [channels, height, width]) {
  const scale = Math.min(picture.width / width, picture.height / height);
  const fine = Math.min(FINEST, Math.max(1, Math.floor(scale)));
  const rgba = cropped(picture, scale, width, height, fine);
  const pixels = new Uint8Array(channels * height * width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const colour = average(rgba, width * fine, x * fine, y * fine, fine);
      const values = channels === 1 ? [colour.reduce((grey, value, i) => grey + LUMA[i] * value, 0)] : colour;
      values.forEach((value, channel) => (pixels[(channel * height + y) * width + x] = Math.round(value)));
    }
  }
  return pixels;
}

/** The middle of a picture, `fine` pixels for each of the network's, on black. */
function cropped(picture, scale, width, height, fine) {
  const context = new OffscreenCanvas(width * fine, height * fine).getContext('2d', { willReadFrequently: true });
  const { canvas } = context;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = 'high';
  const [left, top] = [(picture.width - width * scale) / 2, (picture.height - height * scale) / 2];
  context.drawImage(picture, left, top, width * scale, height * scale, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height).data;
}

/** Mean red, green and blue of a square. */
function average(rgba, stride, left, top, side) {
  const sum = [0, 0, 0];
  for (let y = top; y < top + side; y++) {
    for (let x = left; x < left + side; x++) for (let c = 0; c < 3; c++) sum[c] += rgba[4 * (y * stride + x) + c];
  }
  return sum.map((value) => value / side ** 2);
}
