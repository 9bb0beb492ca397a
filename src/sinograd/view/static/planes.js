/* The three planes of a volume, or of two side by side: which level is asked for, and what is drawn over what. */
import { Newest } from "./api.js";
import { quantile } from "./colours.js";
import { AXES, DRAWN, Pane } from "./pane.js";
import { digits, lengthUnit } from "./text.js";

const QUICK = 512;  // voxels a side of planes that are sent while the slider moves
const REST = 140;  // ms without a move after which the sharp plane is asked for
const ZOOMED = 80;  // the same after zooming
const LARGEST = 1.25;  // pixels of the screen that a voxel may have before finer ones are asked for
const STEP = 64;  // voxels of which parts of planes are multiples

export class Planes {
  constructor({ state, place, measure, move, read, setWindow, failed }) {
    Object.assign(this, { state, place, measure, move, read, setWindow, failed, panes: [], second: false, hovered: null });
  }

  /* Build the panes: one set for the shown volume, a second one beside it. */
  arrange(fourth, beside) {
    const v = this.#volume(), axes = v.image ? ["z"] : AXES, key = [this.state.shown, this.state.other, beside, v.image].join();
    if (this.key === key) return;
    this.key = key;
    this.hovered = null;
    this.panes = [];
    const sets = beside ? [0, 1] : [0];
    for (const set of sets) for (const axis of axes) this.panes.push(this.#pane(axis, set));
    this.place.className = v.image && !beside ? "single" : beside ? "rows" : "";
    if (beside && v.image) this.place.className = "";
    this.place.replaceChildren(...this.panes.map(p => p.node));
    if (!beside && !v.image) this.place.append(fourth.node);
  }

  #volume(set = 0) { return this.state.volumes[set ? this.state.other : this.state.shown]; }

  #pane(axis, set) {
    const v = this.#volume(), number = AXES.indexOf(axis), { across, down, up } = DRAWN[axis];
    const label = this.state.volumes.length > 1 && this.state.mode === "beside" ? `${axis}, ${this.#volume(set).name}` : axis;
    const pane = new Pane({ name: axis, label, slices: v.shape3[number], up, number: set ? `${axis}-b` : axis });
    Object.assign(pane, { axis, set, number, rows: AXES.indexOf(down), columns: AXES.indexOf(across) });
    pane.requests = [new Newest(`${axis}${set}`, this.failed), new Newest(`${axis}${set}-second`, this.failed)];
    pane.size = [v.shape3[pane.rows] * v.spacing[pane.rows], v.shape3[pane.columns] * v.spacing[pane.columns]];
    pane.corner.textContent = `+${across} right, +${down} ${up ? "up" : "down"}`;
    const to = index => { const place = [...this.state.place]; place[number] = index; this.move(place); };
    const crossed = point => this.move(this.#voxel(pane, point));
    const hover = over => { this.hovered = over; this.#read(true); };
    const drag = (from, now, done) => {
      if (this.measure.tool === "cross") { if (!done) crossed(now); return; }
      for (const other of this.panes) if (other !== pane && other.marks.length) { other.marks = []; other.draw(); }
      pane.marks = [{ kind: this.measure.tool, from, to: now }];
      pane.draw();
      const w = this.#volume(set);
      this.measure.measured({ volume: w, number: set ? this.state.other : this.state.shown, axis, index: this.#index(set, number, 0),
        from, to: now, spacing: [w.spacing[pane.rows], w.spacing[pane.columns]], shape: [w.shape3[pane.rows], w.shape3[pane.columns]], done });
    };
    return pane.on("slice", to).on("step", by => to(this.state.place[number] + by))
      .on("press", point => { if (this.measure.tool === "cross") crossed(point); })
      .on("drag", (from, now) => drag(from, now, false)).on("release", (from, now) => drag(from, now, true))
      .on("hover", point => hover({ pane, point })).on("leave", () => hover(null))
      .on("window", (dx, dy) => this.#windowed(dx, dy)).on("zoom", () => this.#zoomed(pane));
  }

  #zoomed(pane) {
    this.#ready();
    clearTimeout(pane.rest);
    pane.rest = setTimeout(() => this.#ask(pane, true), ZOOMED);
  }

  #windowed(dx, dy) {
    const [low, high] = this.state.window, width = (high - low) * Math.exp(dx / 200), level = (low + high) / 2 + dy * (high - low) / 200;
    this.setWindow(level - width / 2, level + width / 2);
  }

  /* The slice of a level that holds the cross-hair. */
  #index(set, number, level) {
    const a = this.#volume(), b = this.#volume(set), at = b.levels[level];
    const mm = a.first[number] + this.state.place[number] * a.spacing[number];
    const fine = set || b !== a ? Math.round((mm - b.first[number]) / b.spacing[number]) : this.state.place[number];
    const factor = Math.round(at.spacing[number] / b.spacing[number]);
    return Math.min(at.shape[number] - 1, Math.max(0, Math.floor(fine / factor)));
  }

  /* The level whose voxels are about as large as the screen's pixels. */
  #level(pane, v) {
    const needed = pane.scale * Math.min(v.spacing[pane.rows], v.spacing[pane.columns]);  // pixels of a voxel
    let level = 0;
    while (level + 1 < v.levels.length && needed * 2 ** (level + 1) <= LARGEST) level++;
    while (level > 0 && Math.max(...v.levels[level].shape) < QUICK && Math.max(...v.levels[level - 1].shape) <= QUICK) level--;
    return level;
  }

  /* The level that is shown while something moves: the finest in the server's memory, or a small one. */
  #quick(v, level) {
    if (v.quick != null) return Math.max(level, v.quick);
    let quick = level;
    while (quick + 1 < v.levels.length && Math.max(...v.levels[quick].shape) > QUICK) quick++;
    return quick;
  }

  refresh() {
    document.body.dataset.ready = "no";
    for (const pane of this.panes) this.#ask(pane, false);
    clearTimeout(this.rest);
    this.rest = setTimeout(() => { for (const pane of this.panes) this.#ask(pane, true); this.#read(false); }, REST);
    this.#read(true);
  }

  /* What a pane should show: level, part of the plane (null: all of it), and a key that tells it from others. */
  #wanted(pane, sharp) {
    const { mode, shown, other, place } = this.state, v = this.#volume(pane.set);
    const best = this.#level(pane, v), level = sharp ? best : this.#quick(v, best);
    const part = sharp && mode !== "overlay" && mode !== "flicker" ? this.#part(pane, v, level) : null;
    return { level, part, key: [shown, other, mode, level, part?.join("-"), place[pane.number]].join() };
  }

  /* The part of a large plane that is on the screen; null: it is small, or all of it is. */
  #part(pane, v, level) {
    const counts = [pane.rows, pane.columns].map(axis => v.levels[level].shape[axis]);
    if (pane.zoom === 1 || Math.max(...counts) <= QUICK) return null;
    const [r0, r1, c0, c1] = pane.visible, low = (share, n) => Math.max(0, Math.floor(share * n / STEP) * STEP);
    const high = (share, n) => Math.min(n, Math.ceil(share * n / STEP) * STEP);
    const part = [low(r0, counts[0]), high(r1, counts[0]), low(c0, counts[1]), high(c1, counts[1])];
    return (part[1] - part[0]) * (part[3] - part[2]) < .8 * counts[0] * counts[1] ? part : null;
  }

  #ask(pane, sharp) {
    const { mode, shown, other } = this.state;
    pane.slider.value = this.state.place[pane.number];
    const { level, part, key } = this.#wanted(pane, sharp);
    if (pane.planes) this.#cross(pane);
    pane.draw();
    if (pane.asking === key) return;
    const sharpest = !sharp && pane.drawn === this.#wanted(pane, true).key;  // nothing of it has moved
    if (!pane.asking && (sharpest || pane.drawn === key)) { this.#ready(); return; }
    pane.asking = key;
    const index = this.#index(pane.set, pane.number, level), number = pane.set ? other : shown;
    const values = { volume: number, axis: pane.axis, index, level, part: part?.join(",") };
    if (mode === "difference") values.minus = other;
    const facts = { level, index, part, mode, volume: number, at: this.state.place[pane.number] };
    if (mode === "overlay" || mode === "flicker") this.#askBoth(pane, values, key, facts);
    else pane.requests[0].ask("slice", values, plane => this.#arrived(pane, [plane], key, facts));
  }

  #askBoth(pane, values, key, facts) {
    const second = this.#volume(1), level = Math.min(values.level, second.levels.length - 1), found = [null, null];
    const arrived = i => plane => { found[i] = plane; if (found[0] && found[1]) this.#arrived(pane, found, key, facts); };
    pane.requests[0].ask("slice", values, arrived(0));
    pane.requests[1].ask("slice", { ...values, volume: this.state.other, level, index: this.#index(1, pane.number, level) }, arrived(1));
  }

  #arrived(pane, found, key, facts) {
    if (pane.asking === key) pane.asking = null;
    pane.drawn = key;
    pane.facts = facts;
    pane.planes = found;
    if (!facts.part) pane.whole = { facts, planes: found };
    const quick = found[0].headers.get("X-Quick");
    if (quick !== null) this.state.volumes[facts.volume].quick = Number(quick);
    Object.assign(pane.canvas.dataset, { index: facts.index, level: facts.level, place: facts.at, shape: found[0].shape.join(","), part: facts.part?.join(",") ?? "" });
    this.#style(pane);
    this.#ready();
    if (facts.at === this.state.place[pane.number]) this.#read(true);
  }

  #ready() {
    const sharp = pane => pane.facts && !pane.asking && pane.drawn === this.#wanted(pane, true).key;
    document.body.dataset.ready = this.panes.every(sharp) ? "yes" : "no";
  }

  restyle() { for (const pane of this.panes) if (pane.planes) this.#style(pane); }

  flicker() { this.second = !this.second; this.restyle(); }

  #style(pane) {
    const { mode, window: [low, high] } = this.state;
    const [first, second] = pane.planes, grey = { plane: first, kind: "grey", low, high };
    let layers = [grey];
    if (mode === "difference") {
      if (this.state.reach === null) {
        const most = quantile(first.data.map(Math.abs), .995);
        this.state.reach = most > 0 ? most : 1;
        document.getElementById("reach").value = digits(this.state.reach, 4);
      }
      layers = [{ plane: first, kind: "difference", reach: this.state.reach }];
    }
    if (mode === "flicker" && second && this.second) layers = [{ ...grey, plane: second }];
    if (mode === "overlay" && second) {
      const o = this.#volume(1);
      layers.push({ plane: second, kind: "overlay", low: o.window[0], high: o.window[1], mask: o.is_mask, opacity: this.state.opacity });
    }
    const { part, level } = pane.facts;
    if (part) {  // over the whole plane as it was before, which zooming out and moving show
      const counts = [pane.rows, pane.columns].map(axis => this.#volume(pane.set).levels[level].shape[axis]);
      const share = [part[0] / counts[0], part[1] / counts[0], part[2] / counts[1], part[3] / counts[1]];
      layers = layers.map(layer => ({ ...layer, part: share }));
      const under = pane.whole, same = ["mode", "volume", "at"].every(name => under?.facts[name] === pane.facts[name]);
      if (same) layers.unshift({ ...layers[0], plane: under.planes[0], part: undefined });
    }
    this.#cross(pane);
    pane.show(layers);
  }

  /* The cross-hair of a pane, and where its slice lies. */
  #cross(pane) {
    const { cross, place } = this.state, v = this.#volume();
    pane.cross = cross && !v.image ? [(place[pane.rows] + .5) * v.spacing[pane.rows], (place[pane.columns] + .5) * v.spacing[pane.columns]] : null;
    const [name, scale] = lengthUnit(Math.max(...v.shape3.map((n, i) => n * v.spacing[i])), v.length_unit);
    const at = v.first[pane.number] + place[pane.number] * v.spacing[pane.number];
    pane.places.textContent = v.image ? "" : `${digits(at / scale)} ${name}, ${place[pane.number] + 1} of ${v.shape3[pane.number]}`;
  }

  /* The voxel under a point of a pane (in units of length). */
  #voxel(pane, point) {
    const v = this.#volume(), place = [...this.state.place];
    place[pane.rows] = Math.floor(point[0] / v.spacing[pane.rows]);
    place[pane.columns] = Math.floor(point[1] / v.spacing[pane.columns]);
    return place;
  }

  /* Show the value under the pointer or, where it rests on no voxel, at the cross-hair. */
  #read(quickly) {
    const { shape3 } = this.#volume(), over = this.hovered && this.#voxel(this.hovered.pane, this.hovered.point);
    const inside = over?.every((n, i) => n >= 0 && n < shape3[i]);
    const pane = inside ? this.hovered.pane : this.panes[0], at = inside ? over : this.state.place;
    if (pane?.planes && (quickly || pane.facts.at === this.state.place[pane.number])) this.#readAt(pane, at);
  }

  #readAt(pane, at) {
    const v = this.#volume(), value = ({ planes: [{ shape, data }], facts }) => {
      const { level, part } = facts;
      if (facts.at !== at[pane.number]) return undefined;
      const counts = part ? [pane.rows, pane.columns].map(axis => this.#volume(pane.set).levels[level].shape[axis]) : shape;
      const row = Math.floor(at[pane.rows] * counts[0] / v.shape3[pane.rows]) - (part ? part[0] : 0);
      const column = Math.floor(at[pane.columns] * counts[1] / v.shape3[pane.columns]) - (part ? part[2] : 0);
      return row >= 0 && row < shape[0] && column >= 0 && column < shape[1] ? data[row * shape[1] + column] : undefined;
    };
    const sharp = value(pane), found = sharp ?? (pane.whole ? value(pane.whole) : undefined);
    if (found === undefined) return;
    this.read(at, found, this.state.mode === "difference" || (sharp !== undefined && pane.facts.level === 0));
  }
}
