/* The three planes of a volume, or of two side by side: which level is asked for, and what is drawn over what. */
import { Newest } from "./api.js";
import { quantile } from "./colours.js";
import { AXES, DRAWN, Pane } from "./pane.js";
import { digits, lengthUnit } from "./text.js";

const QUICK = 512;  // voxels a side of planes that are sent while the slider moves
const REST = 140;  // ms without a move after which the sharp plane is asked for

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
      .on("window", (dx, dy) => this.#windowed(dx, dy)).on("zoom", () => this.#ask(pane, true));
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
    while (level + 1 < v.levels.length && needed * 2 ** (level + 1) <= 1.01) level++;
    while (level > 0 && Math.max(...v.levels[level].shape) < QUICK && Math.max(...v.levels[level - 1].shape) <= QUICK) level--;
    return level;
  }

  #quick(v, level) {
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

  #ask(pane, sharp) {
    const { mode, shown, other } = this.state, v = this.#volume(pane.set);
    pane.slider.value = this.state.place[pane.number];
    pane.draw();
    const best = this.#level(pane, v), level = sharp ? best : this.#quick(v, best);
    const key = [shown, other, mode, level, ...this.state.place].join();
    if (pane.drawn === key || pane.asking === key) { if (!pane.asking) this.#ready(); return; }
    pane.asking = key;
    const index = this.#index(pane.set, pane.number, level), number = pane.set ? other : shown;
    const values = { volume: number, axis: pane.axis, index, level };
    if (mode === "difference") values.minus = other;
    const facts = { level, index, place: [...this.state.place] };
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
    Object.assign(pane.canvas.dataset, { index: facts.index, level: facts.level, shape: found[0].shape.join(",") });
    this.#style(pane);
    this.#ready();
    if (facts.place.join() === this.state.place.join()) this.#read(true);
  }

  #ready() {
    const sharp = pane => pane.facts && pane.drawn && !pane.asking && pane.facts.place.join() === this.state.place.join()
      && pane.facts.level === this.#level(pane, this.#volume(pane.set));
    if (this.panes.every(sharp)) document.body.dataset.ready = "yes";
  }

  restyle() { for (const pane of this.panes) if (pane.planes) this.#style(pane); }

  flicker() { this.second = !this.second; this.restyle(); }

  #style(pane) {
    const { mode, window: [low, high], cross, place } = this.state, v = this.#volume();
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
    pane.cross = cross && !v.image ? [(place[pane.rows] + .5) * v.spacing[pane.rows], (place[pane.columns] + .5) * v.spacing[pane.columns]] : null;
    const [name, scale] = lengthUnit(Math.max(...v.shape3.map((n, i) => n * v.spacing[i])), v.length_unit);
    const at = v.first[pane.number] + place[pane.number] * v.spacing[pane.number];
    pane.places.textContent = v.image ? "" : `${digits(at / scale)} ${name}, ${place[pane.number] + 1} of ${v.shape3[pane.number]}`;
    pane.show(layers);
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
    if (pane?.planes && (quickly || pane.facts.place.join() === this.state.place.join())) this.#readAt(pane, at);
  }

  #readAt(pane, at) {
    if (!pane.planes || pane.facts.place[pane.number] !== at[pane.number]) return;
    const { shape, data } = pane.planes[0], v = this.#volume();
    const row = Math.floor(at[pane.rows] * shape[0] / v.shape3[pane.rows]), column = Math.floor(at[pane.columns] * shape[1] / v.shape3[pane.columns]);
    this.read(at, data[row * shape[1] + column], this.state.mode === "difference" || pane.facts.level === 0);
  }
}
