/* What api.js asks a server for, answered from the volume that a page holds itself; a bundle has it in the place of api.js. */
const byId = id => document.getElementById(id);
const meta = JSON.parse(byId("meta").textContent), [depth, height, width] = meta.shape, NUMBERS = { z: 0, y: 1, x: 2 };
const held = decoded();

/* Codes 1 to 65535 are values, 0 is not a number. */
async function decoded() {
  const bytes = Uint8Array.from(atob(byId("data").textContent), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const codes = new Uint16Array(await new Response(stream).arrayBuffer()), values = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) values[i] = codes[i] === 0 ? NaN : meta.low + (codes[i] - 1) * meta.step;
  return values;
}

const at = (values, z, y, x) => values[(z * height + y) * width + x];

/* Rows and columns across an axis, and the voxel of one of them at `index`. */
function lattice(axis) {
  if (axis === "z") return [height, width, (index, row, column) => [index, row, column]];
  if (axis === "y") return [depth, width, (index, row, column) => [row, index, column]];
  return [depth, height, (index, row, column) => [row, column, index]];
}

function slice(values, { axis, index }) {
  const [rows, columns, voxel] = lattice(axis), data = new Float32Array(rows * columns);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) data[r * columns + c] = at(values, ...voxel(Number(index), r, c));
  return { data, shape: [rows, columns] };
}

function projection(values, { axis, kind }) {
  const [rows, columns, voxel] = lattice(axis), count = meta.shape[NUMBERS[axis]], data = new Float32Array(rows * columns);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) {
    let most = -Infinity, sum = 0, finite = 0;
    for (let i = 0; i < count; i++) {
      const v = at(values, ...voxel(i, r, c));
      if (Number.isFinite(v)) { most = Math.max(most, v); sum += v; finite++; }
    }
    data[r * columns + c] = !finite ? NaN : kind === "max" ? most : sum / finite;
  }
  return { data, shape: [rows, columns], headers: { "X-Level": 0 } };
}

/* Linear between the centres of voxels; NaN outside. */
function between(values, place) {
  if (place.some((p, i) => p < -.5 || p > meta.shape[i] - .5)) return NaN;
  const low = place.map((p, i) => Math.min(meta.shape[i] - 1, Math.max(0, Math.floor(p))));
  const high = low.map((n, i) => Math.min(meta.shape[i] - 1, n + 1)), share = place.map((p, i) => Math.min(1, Math.max(0, p - low[i])));
  let sum = 0;
  for (let corner = 0; corner < 8; corner++) {
    const up = [corner >> 2, corner >> 1 & 1, corner & 1], weight = up.reduce((w, u, i) => w * (u ? share[i] : 1 - share[i]), 1);
    if (weight > 0) sum += weight * at(values, ...up.map((u, i) => u ? high[i] : low[i]));
  }
  return sum;
}

/* A plane through a place; it is the slice across z where both angles are 0. */
function oblique(values, { middle, angles }) {
  const [level] = meta.volumes[0].levels, center = middle.split(",").map(Number), [turn, tilt] = angles.split(",").map(a => Number(a) * Math.PI / 180);
  const across = [Math.cos(turn), Math.sin(turn), 0], down = [-Math.sin(turn) * Math.cos(tilt), Math.cos(turn) * Math.cos(tilt), Math.sin(tilt)];
  const step = Math.min(...level.spacing), reach = Math.hypot(...level.shape.map((n, i) => n * level.spacing[i])), side = Math.min(512, Math.ceil(reach / step));
  const data = new Float32Array(side * side);
  for (let r = 0; r < side; r++) for (let c = 0; c < side; c++) {
    const [u, v] = [c, r].map(i => (i - (side - 1) / 2) * reach / side);
    const xyz = center.map((m, i) => m + u * across[i] + v * down[i]);
    data[r * side + c] = between(values, [2, 1, 0].map((k, i) => (xyz[k] - level.first[i]) / level.spacing[i]));
  }
  return { data, shape: [side, side], headers: { "X-Level": 0, "X-Step": reach / side } };
}

function profile(values, { axis, index, line }) {
  const [, , voxel] = lattice(axis), [r0, c0, r1, c1] = line.split(",").map(Number), [down, over] = inPlane(axis);
  const count = Math.max(2, Math.ceil(Math.max(Math.abs(r1 - r0), Math.abs(c1 - c0))) + 1), length = Math.hypot((r1 - r0) * down, (c1 - c0) * over);
  const shares = Array.from({ length: count }, (_, i) => i / (count - 1));
  return { length, distance: shares.map(s => s * length), value: shares.map(s => between(values, voxel(Number(index), r0 + s * (r1 - r0), c0 + s * (c1 - c0)))) };
}

const inPlane = axis => meta.volumes[0].levels[0].spacing.filter((_, i) => i !== NUMBERS[axis]);

/* As the server's, without the noise power spectrum. */
function region(values, { axis, index, box }) {
  const [, , voxel] = lattice(axis), [top, bottom, left, right] = box.split(",").map(Number), [down, over] = inPlane(axis), every = [];
  for (let r = top; r < bottom; r++) for (let c = left; c < right; c++) every.push(at(values, ...voxel(Number(index), r, c)));
  const found = every.filter(Number.isFinite).sort((a, b) => a - b), count = found.length;
  const mean = found.reduce((sum, v) => sum + v, 0) / count, squares = found.reduce((sum, v) => sum + (v - mean) ** 2, 0);
  return { count, missing: every.length - count, mean, sd: Math.sqrt(squares / Math.max(1, count - 1)), low: found[0], high: found[count - 1],
    median: (found[count - 1 >> 1] + found[count >> 1]) / 2, size: [(bottom - top) * down, (right - left) * over], frequency: [], power: [] };
}

/* A file of one volume for the picture in 3-D: 348 bytes of facts, 4 of none, float32. */
function nifti(values) {
  const [level] = meta.volumes[0].levels, head = new DataView(new ArrayBuffer(352)), body = values.map(v => Number.isFinite(v) ? v : meta.low);
  head.setInt32(0, 348, true);
  [3, width, height, depth, 1, 1, 1, 1].forEach((n, i) => head.setInt16(40 + 2 * i, n, true));
  head.setInt16(70, 16, true);
  head.setInt16(72, 32, true);
  [1, ...level.spacing.toReversed(), 1, 1, 1, 1].forEach((s, i) => head.setFloat32(76 + 4 * i, s, true));
  head.setFloat32(108, 352, true);
  head.setFloat32(112, 1, true);
  head.setInt16(254, 1, true);
  const first = level.first.toReversed(), spacing = level.spacing.toReversed();
  for (let i = 0; i < 3; i++) { head.setFloat32(280 + 20 * i, spacing[i], true); head.setFloat32(292 + 16 * i, first[i], true); }
  "n+1".split("").forEach((letter, i) => head.setUint8(344 + i, letter.charCodeAt(0)));
  const all = new Uint8Array(352 + body.byteLength);
  all.set(new Uint8Array(head.buffer));
  all.set(new Uint8Array(body.buffer), 352);
  return all.buffer;
}

const ANSWERS = { slice, projection, oblique, profile, region };

export const address = name => name;
export const post = async () => { throw new Error("This page has no server."); };
export const bytes = async () => nifti(await held);

export async function json(name, values = {}) {
  if (name === "volumes") return { volumes: meta.volumes };
  if (name === "histogram") return meta.histogram;
  if (name === "value") return { value: at(await held, ...values.at.split(",").map(Number)) };
  return ANSWERS[name](await held, values);
}

export async function array(name, values = {}) {
  const found = ANSWERS[name](await held, values);
  return { ...found, headers: new Headers(found.headers) };
}

/* As that of api.js: of requests that come while one is answered the last one follows. */
export class Newest {
  constructor(channel, failed) { Object.assign(this, { channel, failed, running: false, waiting: null }); }

  get busy() { return this.running; }

  async ask(name, values, done) {
    this.waiting = { name, values, done };
    if (this.running) return;
    this.running = true;
    while (this.waiting) {
      const next = this.waiting;
      this.waiting = null;
      try { next.done(await array(next.name, next.values)); } catch (error) { this.failed(error); }
    }
    this.running = false;
  }
}

if (!byId("niivue")) document.querySelector('#extra option[value="3d"]').remove();
document.querySelectorAll("#details tr").forEach(row => row.remove());
for (const [name, text] of meta.details) {
  const cells = byId("details").insertRow();
  cells.insertCell().textContent = name;
  cells.insertCell().textContent = text;
}
byId("details-section").hidden = !meta.details.length;
