/* Distances, profiles and regions in a slice. */
import { json } from "./api.js";
import { curve } from "./plots.js";
import { digits, element, length } from "./text.js";

const TOOLS = { cross: "cross-hair", distance: "distance", profile: "profile", region: "region" };

export class Measure {
  constructor({ tools, table, plot, failed }) {
    Object.assign(this, { tool: "cross", table, plot, failed, asked: 0 });
    this.buttons = Object.entries(TOOLS).map(([name, label]) => element("button", {
      type: "button", textContent: label, testid: `tool-${name}`, onclick: () => this.choose(name) }));
    tools.append(...this.buttons);
    this.choose("cross");
  }

  choose(name) {
    this.tool = name;
    this.buttons.forEach((button, i) => button.setAttribute("aria-pressed", Object.keys(TOOLS)[i] === name));
  }

  /* A line or box from one place to another, [row, column] in mm (or pixels) of the picture; done: the mouse was released. */
  async measured({ volume, number, axis, index, from, to, spacing, shape, done }) {
    const voxel = ([row, column]) => [row / spacing[0] - .5, column / spacing[1] - .5];
    const unit = volume.length_unit, value = text => `${digits(text)} ${volume.unit_text}`;
    if (this.tool === "distance") {
      this.#rows([["distance", length(Math.hypot(to[0] - from[0], to[1] - from[1]), unit), "distance"]]);
      this.plot.replaceChildren();
      return;
    }
    if (!done) return;
    const asked = ++this.asked;
    try {
      if (this.tool === "profile") {
        const clipped = [from, to].flatMap(p => voxel(p).map((v, i) => Math.min(shape[i] - 1, Math.max(0, v))));
        const found = await json("profile", { volume: number, axis, index, line: clipped.join(",") });
        if (asked !== this.asked) return;
        this.#rows([["length", length(found.length, unit), "profile-length"], ["points", found.value.length, "profile-points"]]);
        curve(this.plot, { x: found.distance, y: found.value, across: unit === "pixel" ? "pixels" : "mm", up: "" });
        this.plot.dataset.values = JSON.stringify(found.value);
      } else {
        const box = [0, 1].flatMap(i => {
          const [low, high] = [from[i], to[i]].sort((a, b) => a - b).map(p => p / spacing[i]);
          const first = Math.min(shape[i] - 1, Math.max(0, Math.floor(low)));
          return [first, Math.min(shape[i], Math.max(first + 1, Math.ceil(high)))];
        });
        const found = await json("region", { volume: number, axis, index, box: box.join(",") });
        if (asked !== this.asked) return;
        this.#region(found, box, unit, value);
      }
    } catch (error) { this.failed(error); }
  }

  #region(found, box, unit, value) {
    const rows = [["voxels", found.count, "region-count"]];
    if (found.missing) rows.push(["not finite", found.missing, "region-missing"]);
    if (found.count) rows.push(["mean", value(found.mean), "region-mean"], ["SD", value(found.sd), "region-sd"],
      ["median", value(found.median), "region-median"], ["range", `${digits(found.low)} to ${value(found.high)}`, "region-range"]);
    rows.push(["size", `${length(found.size[1], unit)} x ${length(found.size[0], unit)}`, "region-size"]);
    this.#rows(rows);
    this.table.dataset.box = box.join(",");
    this.table.dataset.values = JSON.stringify(found);
    this.plot.replaceChildren();
    if (found.frequency.length > 2)
      curve(this.plot, { x: found.frequency, y: found.power, across: `noise power over 1/${unit === "pixel" ? "pixel" : "mm"}`, up: "" });
  }

  #rows(rows) {
    this.table.replaceChildren(...rows.map(([name, text, testid]) => element("tr", {}, element("td", { textContent: name }),
      element("td", { textContent: text, testid }))));
  }
}
