// Bicubic resizing as Pillow does it, to the same bits: 8-bit values, 22-bit weights, first
// across, then down; when it shrinks, the kernel widens so that no pixel is skipped.

const BITS = 22;
const SUPPORT = 2;

function bicubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** Return for each place of the output where its kernel starts, and its whole-number weights. */
function kernels(size, from, to, wanted) {
  const scale = Math.fround(Math.fround(to) - Math.fround(from)) / wanted;
  const stretch = Math.max(scale, 1);
  const support = SUPPORT * stretch;
  return Array.from({ length: wanted }, (_, place) => {
    const centre = Math.fround(from) + (place + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const stop = Math.min(Math.trunc(centre + support + 0.5), size);
    const raw = [];
    for (let x = start; x < stop; x++) raw.push(bicubic((x - centre + 0.5) * (1 / stretch)));
    const total = raw.reduce((a, b) => a + b, 0) || 1;
    const weights = raw.map((w) => Math.trunc((w / total) * 2 ** BITS + (w < 0 ? -0.5 : 0.5)));
    return { start, weights };
  });
}

/** Apply kernels along one axis; `step` is the distance of its neighbours, `lines` the others. */
function pass(source, target, places, lines, lineSteps, steps) {
  for (let line = 0; line < lines; line++) {
    for (let place = 0; place < places.length; place++) {
      const { start, weights } = places[place];
      const first = lineSteps[0](line) + start * steps[0];
      let sum = 2 ** (BITS - 1);
      for (let i = 0; i < weights.length; i++) sum += source[first + i * steps[0]] * weights[i];
      // A Uint8ClampedArray would round; Pillow's shift rounds down.
      target[lineSteps[1](line) + place * steps[1]] = Math.max(0, Math.min(255, sum >> BITS));
    }
  }
}

/**
 * Return the part `box` of a picture at another size.
 * @param picture `{width, height, channels, data}`, data of 8 bits in rows of pixels.
 * @param box Left, upper, right, lower border; fractions are taken as such.
 */
export function resize(picture, width, height, box = [0, 0, picture.width, picture.height]) {
  const { channels: c } = picture;
  let { data, width: wide } = picture;
  if (width !== wide || box[0] !== 0 || box[2] !== wide) {
    const across = new Uint8Array(width * picture.height * c);
    const [from, old] = [data, wide];
    const line = (w) => (n) => Math.floor(n / c) * w * c + (n % c);
    pass(from, across, kernels(old, box[0], box[2], width), picture.height * c, [line(old), line(width)], [c, c]);
    [data, wide] = [across, width];
  }
  if (height !== picture.height || box[1] !== 0 || box[3] !== picture.height) {
    const down = new Uint8Array(width * height * c);
    const row = width * c;
    pass(data, down, kernels(picture.height, box[1], box[3], height), row, [(n) => n, (n) => n], [row, row]);
    data = down;
  }
  return { width, height, channels: c, data };
}
