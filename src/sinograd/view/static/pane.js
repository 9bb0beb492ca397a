/* A picture of a plane with its slider: it keeps what it was sent, draws it, and turns the mouse into places. */
import { grey, difference, overlay, toCanvas } from "./colours.js";
import { element } from "./text.js";

export const AXES = ["z", "y", "x"];

/* What is drawn to the right and down across each axis; up: the second one runs upwards. */
export const DRAWN = { z: { across: "x", down: "y", up: false }, y: { across: "x", down: "z", up: true }, x: { across: "y", down: "z", up: true } };

export class Pane {
  /* size: of the whole picture in the units of the place ([rows, columns]); step: [row, column] of a voxel, the same units. */
  constructor({ name, label, slices = 0, up = false, number }) {
    Object.assign(this, { name, up, layers: [], zoom: 1, middle: [.5, .5], size: [1, 1], marks: [], cross: null, listeners: {} });
    this.title = element("b", { textContent: label });
    this.places = element("span", { className: "quiet numbers", testid: `place-${number ?? name}` });
    this.slider = element("input", { type: "range", min: 0, max: Math.max(0, slices - 1), value: 0, testid: `slice-${number ?? name}`,
      "aria-label": `slice across ${name}`, oninput: () => this.#tell("slice", Number(this.slider.value)) });
    this.slider.hidden = slices < 2;
    this.canvas = element("canvas", { tabIndex: 0, testid: `axis-${number ?? name}`, "aria-label": `picture ${label}; arrow keys move through slices` });
    this.note = element("div", { className: "note", testid: `note-${number ?? name}` });
    this.corner = element("div", { className: "corner numbers" });
    this.stage = element("div", { className: "stage" }, this.canvas, this.note, this.corner);
    this.node = element("div", { className: "pane" }, element("div", { className: "bar" }, this.title, this.slider, this.places), this.stage);
    new ResizeObserver(() => this.draw()).observe(this.stage);
    this.#listen();
  }

  on(name, does) { this.listeners[name] = does; return this; }

  #tell(name, ...values) { this.listeners[name]?.(...values); }

  /* Layers are drawn one over another: {plane, kind: "grey" | "difference" | "overlay", low, high, reach, mask, opacity};
     part: which share of the picture a layer is, [first row, end, first column, end] from 0 to 1; missing: all. */
  show(layers) {
    this.layers = layers.map(layer => ({ ...layer, picture: null }));
    this.draw();
  }

  restyle(style) {
    this.layers = this.layers.map((layer, i) => ({ ...layer, ...style(layer, i), picture: null }));
    this.draw();
  }

  reset() { this.zoom = 1; this.middle = [.5, .5]; this.draw(); this.#tell("zoom"); }

  /* Device pixels that a unit of the place has. */
  get scale() {
    const [rows, columns] = this.size;
    return this.zoom * Math.min(this.canvas.width / columns, this.canvas.height / rows);
  }

  /* The corner (left, top) of the whole picture on the canvas. */
  #corner() {
    const [rows, columns] = this.size, s = this.scale;
    return [this.canvas.width / 2 - this.middle[1] * columns * s, this.canvas.height / 2 - this.middle[0] * rows * s];
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.stage, ratio = devicePixelRatio;
    if (!width || !height) return;
    const wide = Math.round(width * ratio), high = Math.round(height * ratio);
    if (this.canvas.width !== wide || this.canvas.height !== high) Object.assign(this.canvas, { width: wide, height: high });
    const pen = this.canvas.getContext("2d"), [rows, columns] = this.size, s = this.scale, [left, top] = this.#corner();
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, wide, high);
    for (const layer of this.layers) {
      layer.picture ??= toCanvas(paint(layer));
      const [r0, r1, c0, c1] = layer.part ?? [0, 1, 0, 1], [y, x] = [rows * s, columns * s];
      pen.imageSmoothingEnabled = layer.picture.width > (c1 - c0) * x * 1.2;
      pen.save();
      pen.translate(left, this.up ? top + rows * s : top);
      pen.scale(1, this.up ? -1 : 1);
      pen.drawImage(layer.picture, c0 * x, r0 * y, (c1 - c0) * x, (r1 - r0) * y);
      pen.restore();
    }
    if (this.cross) this.#drawCross(pen, s, left, top);
    this.#drawMarks(pen, ratio);
  }

  #drawCross(pen, s, left, top) {
    const [x, y] = this.toCanvas(this.cross);
    pen.strokeStyle = "rgba(242, 184, 75, .6)";
    pen.lineWidth = devicePixelRatio;
    pen.beginPath();
    pen.moveTo(left, y); pen.lineTo(left + this.size[1] * s, y);
    pen.moveTo(x, top); pen.lineTo(x, top + this.size[0] * s);
    pen.stroke();
  }

  #drawMarks(pen, ratio) {
    pen.strokeStyle = "#4fd1ff";
    pen.lineWidth = 1.5 * ratio;
    for (const { kind, from, to } of this.marks) {
      const [a, b] = this.toCanvas(from), [c, d] = this.toCanvas(to);
      pen.beginPath();
      if (kind === "region") pen.rect(Math.min(a, c), Math.min(b, d), Math.abs(c - a), Math.abs(d - b));
      else { pen.moveTo(a, b); pen.lineTo(c, d); }
      pen.stroke();
    }
  }

  /* The share of the picture that is on the canvas: [first row, end, first column, end] from 0 to 1. */
  get visible() {
    const s = this.scale, share = (middle, pixels, length) => {
      const half = pixels / 2 / s / length;
      return [Math.max(0, middle - half), Math.min(1, middle + half)];
    };
    const [rows, columns] = this.size, across = share(this.middle[1], this.canvas.width, columns);
    const [top, bottom] = share(this.middle[0], this.canvas.height, rows);
    return this.up ? [1 - bottom, 1 - top, ...across] : [top, bottom, ...across];
  }

  /* A place [row, column] of the picture in device pixels of the canvas. */
  toCanvas([row, column]) {
    const s = this.scale, [left, top] = this.#corner();
    return [left + column * s, top + (this.up ? this.size[0] - row : row) * s];
  }

  /* The place [row, column] under an event, not limited to the picture. */
  placeOf(event) {
    const box = this.canvas.getBoundingClientRect(), s = this.scale, [left, top] = this.#corner();
    const column = ((event.clientX - box.left) * this.canvas.width / box.width - left) / s;
    const row = ((event.clientY - box.top) * this.canvas.height / box.height - top) / s;
    return [this.up ? this.size[0] - row : row, column];
  }

  #listen() {
    const canvas = this.canvas;
    let start = null;
    canvas.addEventListener("contextmenu", event => event.preventDefault());
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      start = { x: event.clientX, y: event.clientY, middle: this.middle, button: event.button, place: this.placeOf(event) };
      if (event.button === 0) this.#tell("press", start.place);
      else event.preventDefault();
      canvas.focus({ preventScroll: true });
    });
    canvas.addEventListener("pointermove", event => {
      this.#tell("hover", this.placeOf(event));
      if (!start) return;
      const dx = event.clientX - start.x, dy = event.clientY - start.y;
      if (start.button === 0) this.#tell("drag", start.place, this.placeOf(event));
      if (start.button === 2) { this.#tell("window", dx, dy); Object.assign(start, { x: event.clientX, y: event.clientY }); }
      if (start.button === 1) {
        const unit = this.scale / devicePixelRatio;
        this.middle = [start.middle[0] - dy / unit / this.size[0], start.middle[1] - dx / unit / this.size[1]];
        this.draw();
      }
    });
    canvas.addEventListener("pointerup", event => {
      if (start?.button === 0) this.#tell("release", start.place, this.placeOf(event));
      if (start?.button === 1) this.#tell("zoom");
      start = null;
    });
    canvas.addEventListener("pointerleave", () => this.#tell("leave"));
    canvas.addEventListener("wheel", event => {
      event.preventDefault();
      if (event.ctrlKey || event.shiftKey) this.#zoomAbout(event, Math.exp(-(event.deltaY || event.deltaX) / 400));
      else this.#tell("step", -Math.sign(event.deltaY));
    }, { passive: false });
    canvas.addEventListener("keydown", event => {
      const by = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
      if (by) { event.preventDefault(); this.#tell("step", by); }
      if (event.key === "0") this.reset();
      if (event.key === "+" || event.key === "-") this.#zoomed(event.key === "+" ? 1.25 : .8);
    });
  }

  #zoomed(factor) {
    this.zoom = Math.min(64, Math.max(1, this.zoom * factor));
    if (this.zoom === 1) this.middle = [.5, .5];
    this.draw();
    this.#tell("zoom");
  }

  #zoomAbout(event, factor) {
    const share = place => [(this.up ? this.size[0] - place[0] : place[0]) / this.size[0], place[1] / this.size[1]];
    const before = share(this.placeOf(event));
    this.zoom = Math.min(64, Math.max(1, this.zoom * factor));
    const after = share(this.placeOf(event));
    this.middle = this.zoom === 1 ? [.5, .5] : this.middle.map((m, i) => m + before[i] - after[i]);
    this.draw();
    this.#tell("zoom");
  }
}

function paint(layer) {
  if (layer.kind === "difference") return difference(layer.plane, layer.reach);
  if (layer.kind === "overlay") return overlay(layer.plane, layer.low, layer.high, layer.mask, layer.opacity);
  return grey(layer.plane, layer.low, layer.high, layer.missing);
}
