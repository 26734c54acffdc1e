// From raw pixels to those that a network takes: the middle of an image, averaged to the network's shape.

/** Weights of red, green and blue in a grey (ITU-R BT.601). */
export const LUMA = [0.299, 0.587, 0.114];

/** The pixels in the order channel, row, column; what is transparent lies on black. */
export function fitted({ data, width, height, channels }, [wanted, rows, columns]) {
  const scale = Math.min(width / columns, height / rows);
  const [left, top] = [Math.floor((width - columns * scale) / 2), Math.floor((height - rows * scale) / 2)];
  const across = shares(left, scale, columns, width);
  const down = shares(top, scale, rows, height);
  const pixels = new Uint8Array(wanted * rows * columns);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const colours = inChannels(mean(data, width, channels, across[x], down[y]), wanted);
      for (let channel = 0; channel < wanted; channel++) pixels[(channel * rows + y) * columns + x] = Math.round(colours[channel]);
    }
  }
  return pixels;
}

/** For each of `count` steps of a scale the pixels that it covers, `[index, share]` each. */
function shares(start, scale, count, most) {
  return Array.from({ length: count }, (_, i) => {
    const [begin, end] = [start + i * scale, start + (i + 1) * scale];
    const covered = [];
    for (let at = Math.floor(begin); at < end && at < most; at++) {
      const share = (Math.min(end, at + 1) - Math.max(begin, at)) / scale;
      if (share > 1e-9) covered.push([at, share]);
    }
    return covered;
  });
}

/** The mean of an area: one value for grey, else red, green and blue. */
function mean(data, width, channels, across, down) {
  const sum = channels === 1 ? [0] : [0, 0, 0];
  for (const [y, height] of down) {
    for (const [x, share] of across) {
      const at = (y * width + x) * channels;
      const weight = height * share * (channels === 4 ? data[at + 3] / 255 : 1);
      for (let channel = 0; channel < sum.length; channel++) sum[channel] += weight * data[at + channel];
    }
  }
  return sum;
}

/** A colour as so many channels, 1 or 3. */
export function inChannels(colour, wanted) {
  if (colour.length === wanted) return colour;
  return wanted === 1 ? [colour.reduce((grey, value, i) => grey + LUMA[i] * value, 0)] : [colour[0], colour[0], colour[0]];
}
