/* Numbers become pixels. */
const NOT_FINITE = 0xff3030a0;  // ABGR: a dull red

export function grey(plane, low, high, missing = NOT_FINITE) {
  const [rows, columns] = plane.shape, image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer), data = plane.data, gain = 255 / (high - low);
  for (let i = 0; i < data.length; i++) {
    const v = data[i];
    if (!Number.isFinite(v)) { pixels[i] = missing; continue; }
    const g = (v - low) * gain;
    pixels[i] = 0xff000000 | (g <= 0 ? 0 : g >= 255 ? 255 : g + .5 | 0) * 0x010101;
  }
  return image;
}

/* Blue below zero, red above it, white at it. */
export function difference(plane, reach) {
  const [rows, columns] = plane.shape, image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer), data = plane.data;
  for (let i = 0; i < data.length; i++) {
    const v = data[i];
    if (!Number.isFinite(v)) { pixels[i] = 0xff808080; continue; }
    const share = Math.min(1, Math.abs(v) / reach), rest = Math.round(255 * (1 - share));
    pixels[i] = v < 0 ? 0xff000000 | 220 + Math.round(35 * (1 - share)) << 16 | rest << 8 | rest
                      : 0xff000000 | rest << 16 | rest << 8 | 220 + Math.round(35 * (1 - share));
  }
  return image;
}

/* Another volume on top: of a mask each label in a colour, of a map its values from yellow to purple. */
const LABELS = [[230, 90, 60], [60, 160, 230], [90, 200, 90], [230, 190, 50], [180, 100, 220], [60, 200, 190]];
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

export function overlay(plane, low, high, isMask, opacity) {
  const [rows, columns] = plane.shape, image = new ImageData(columns, rows), data = plane.data, out = image.data;
  for (let i = 0; i < data.length; i++) {
    const v = data[i];
    if (!Number.isFinite(v) || (isMask ? v <= 0 : v < low)) continue;
    let colour;
    if (isMask) colour = LABELS[(Math.max(1, Math.round(v)) - 1) % LABELS.length];
    else {
      const at = Math.min(1, (v - low) / (high - low)) * (RAMP.length - 1), k = Math.min(RAMP.length - 2, Math.floor(at));
      colour = RAMP[k].map((c, j) => c + (at - k) * (RAMP[k + 1][j] - c));
    }
    out.set([colour[0], colour[1], colour[2], 255 * opacity * (isMask ? Math.min(1, v) : 1)], 4 * i);
  }
  return image;
}

export function toCanvas(image) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/* The share of values below which `part` of them lies; of at most 20,000 of them. */
export function quantile(data, part) {
  const step = Math.max(1, Math.floor(data.length / 20000)), some = [];
  for (let i = 0; i < data.length; i += step) if (Number.isFinite(data[i])) some.push(data[i]);
  some.sort((a, b) => a - b);
  return some.length ? some[Math.min(some.length - 1, Math.floor(part * some.length))] : NaN;
}
