// PNG files: grey and colour ones written, for the command line and the page; grey ones read, for the project's sample digits.

import { crc32, deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');

/** An 8-bit PNG of pixels in the order channel, row, column: one channel for grey, or three. */
export function encode(pixels, width, height = width) {
  const [area, channels] = [width * height, pixels.length / (width * height)];
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, channels === 1 ? 0 : 2], 8);
  const pixel = (i) => Array.from({ length: channels }, (_, channel) => pixels[channel * area + i]);
  const row = (y) => [0, ...Array.from({ length: width }, (_, x) => pixel(y * width + x)).flat()];
  const rows = Buffer.from(Array.from({ length: height }, (_, y) => row(y)).flat());
  const parts = [chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([SIGNATURE, ...parts]);
}

/** The same file, but it says that its sides are so long. */
export function resized(png, side) {
  const header = Buffer.from(png.subarray(16, 29));
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  return Buffer.concat([SIGNATURE, chunk('IHDR', header), png.subarray(33)]);
}

function chunk(type, data) {
  const content = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(content));
  return Buffer.concat([length, content, check]);
}

/** The pixels of an 8-bit grey PNG. */
export function decode(png) {
  const data = [];
  let side = 0;
  for (let at = SIGNATURE.length; at < png.length; ) {
    const [length, type] = [png.readUInt32BE(at), png.toString('latin1', at + 4, at + 8)];
    const content = png.subarray(at + 8, at + 8 + length);
    if (type === 'IHDR') side = content.readUInt32BE(0);
    if (type === 'IDAT') data.push(content);
    at += length + 12;
  }
  return unfiltered(inflateSync(Buffer.concat(data)), side);
}

/** Undoes PNG's row filters (RFC 2083, section 6). */
function unfiltered(rows, side) {
  const pixels = new Uint8Array(side * side);
  for (let y = 0; y < side; y++) {
    const filter = rows[y * (side + 1)];
    for (let x = 0; x < side; x++) {
      const at = (dx, dy) => (x - dx < 0 || y - dy < 0 ? 0 : pixels[(y - dy) * side + x - dx]);
      const [a, b, c] = [at(1, 0), at(0, 1), at(1, 1)];
      const predicted = [0, a, b, (a + b) >> 1, paeth(a, b, c)][filter];
      pixels[y * side + x] = rows[y * (side + 1) + 1 + x] + predicted;
    }
  }
  return pixels;
}

function paeth(a, b, c) {
  const [pa, pb, pc] = [b - c, a - c, a + b - 2 * c].map(Math.abs);
  if (pa <= pb && pa <= pc) return a;
  return pb <= pc ? b : c;
}
