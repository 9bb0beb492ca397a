/* The fourth picture: a volume in 3-D, an oblique plane, the largest values or the mean along an axis. */
import { Newest } from "./api.js";
import { AXES, DRAWN, Pane } from "./pane.js";
import { digits } from "./text.js";
import { Rendering } from "./rendering.js";

const REST = 250;  // ms
const byId = id => document.getElementById(id);
const NAMES = { max: "maximum", mean: "mean", oblique: "oblique plane", "3d": "3-D" };

export class Fourth {
  constructor({ state, failed, nifti }) {
    Object.assign(this, { state, kind: "oblique", axis: "z", failed });
    this.pane = new Pane({ name: "extra", label: NAMES.oblique });
    this.node = this.pane.node;
    this.requests = new Newest("extra", failed);
    this.rendering = new Rendering(this.pane, state, nifti, failed);
    byId("extra").value = this.kind;
    byId("extra").addEventListener("change", event => { this.kind = event.target.value; this.refresh(); });
    byId("extra-axis").addEventListener("change", event => { this.axis = event.target.value; this.refresh(); });
    byId("render").addEventListener("change", () => this.rendering.style(byId("render").value));
    byId("render-from").addEventListener("input", () => this.rendering.restyle());
    for (const id of ["turn", "tilt"]) byId(id).addEventListener("input", () => this.refresh());
  }

  /* After a move: when it rests and the planes are there, which come first. */
  moved() {
    clearTimeout(this.rest);
    this.rest = setTimeout(() => document.body.dataset.ready === "yes" ? this.refresh() : this.moved(), REST);
  }

  refresh() {
    clearTimeout(this.rest);
    if (!this.node.isConnected) return;
    const v = this.state.volumes[this.state.shown];
    byId("extra-axis").hidden = !["max", "mean"].includes(this.kind);
    byId("oblique-row").hidden = this.kind !== "oblique";
    byId("render-row").hidden = this.kind !== "3d";
    this.pane.title.textContent = NAMES[this.kind] + (["max", "mean"].includes(this.kind) ? ` along ${this.axis}` : "");
    this.rendering.visible(this.kind === "3d");
    if (this.kind === "3d") { this.rendering.show(this.state.shown); this.pane.places.textContent = ""; return; }
    const minus = this.state.mode === "difference" ? this.state.other : undefined;
    if (this.kind === "oblique") {
      const middle = [2, 1, 0].map(i => v.first[i] + this.state.place[i] * v.spacing[i]), angles = [byId("turn").value, byId("tilt").value];
      this.requests.ask("oblique", { volume: this.state.shown, middle: middle.join(","), angles: angles.join(","), minus }, plane => {
        const step = Number(plane.headers.get("X-Step"));
        this.#arrived(plane, plane.shape.map(n => n * step), false, `turn ${angles[0]}, tilt ${angles[1]} deg`);
      });
      return;
    }
    const key = [this.state.shown, minus, this.kind, this.axis].join();
    if (this.projected === key && this.plane) return;
    this.projected = key;
    const { across, down, up } = DRAWN[this.axis];
    const size = [down, across].map(a => v.shape3[AXES.indexOf(a)] * v.spacing[AXES.indexOf(a)]);
    this.requests.ask("projection", { volume: this.state.shown, axis: this.axis, kind: this.kind, minus }, plane =>
      this.#arrived(plane, size, up, `+${across} right, +${down} ${up ? "up" : "down"}`));
  }

  #arrived(plane, size, up, text) {
    if (this.kind === "oblique") this.projected = null;
    Object.assign(this.pane, { size, up });
    this.plane = plane;
    Object.assign(this.pane.canvas.dataset, { kind: this.kind, level: plane.headers.get("X-Level"), shape: plane.shape.join(",") });
    this.pane.places.textContent = text;
    this.restyle();
  }

  restyle() {
    this.rendering.restyle();
    if (!this.plane || this.kind === "3d") return;
    const [low, high] = this.state.window;
    const reach = this.state.reach ?? 1;
    this.pane.show([this.state.mode === "difference" ? { plane: this.plane, kind: "difference", reach } : { plane: this.plane, kind: "grey", low, high, missing: this.kind === "oblique" ? 0xff000000 : undefined }]);
    this.pane.canvas.dataset.window = `${digits(low)},${digits(high)}`;
  }
}
