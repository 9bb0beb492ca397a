/* Sliders of a reconstruction: the slice follows, coarse at once and sharp when it is there. */
import { json, post, Newest } from "./api.js";
import { grey, quantile } from "./colours.js";
import { Pane } from "./pane.js";
import { curve } from "./plots.js";
import { digits, element, length } from "./text.js";

const byId = id => document.getElementById(id);
const fail = error => { byId("message").textContent = error.message ?? String(error); document.body.dataset.ready = "yes"; };

const state = { settings: {}, index: 0, window: null, picture: null, asked: 0, name: "center" };
const REST = 60;  // ms after a move until the sharp slice is asked for
const SLOW = .4;  // seconds of a sharp slice from which on one of half the pixels is shown before it
let facts, pane;
const requests = { coarse: new Newest("coarse", fail), full: new Newest("full", fail), strip: new Newest("strip", fail) };

/* name: [label, lowest, highest, step of the slider, step of neighbours] */
function ranges() {
  const found = { center: ["centre, px", -facts.center_reach, facts.center_reach, .05, 1] };
  if (facts.can_turn) Object.assign(found, { tilt: ["tilt, deg", -5, 5, .05, .5], roll: ["roll, deg", -5, 5, .05, .5] });
  if (facts.is_3d) found.row_offset = [`row offset, ${facts.length_unit === "mm" ? "mm" : "px"}`, -facts.row_reach, facts.row_reach, facts.row_reach / 200, facts.row_reach / 20];
  return { ...found, cutoff: ["cut-off", .05, 1, .05, .1], hardening: ["hardening", -.2, .5, .005, .02], voxel: ["voxel", facts.voxel / 4, facts.voxel * 4, facts.voxel / 20, null] };
}

function build() {
  const place = byId("sliders");
  const set = (name, value) => {
    if (!Number.isFinite(value)) return;
    state.settings[name] = name === "voxel" && Math.abs(value - facts.voxel) < 1e-9 * facts.voxel ? null : value;
    refresh();
  };
  for (const [name, [label, low, high, step]] of Object.entries(ranges())) {
    const slider = element("input", { type: "range", min: low, max: high, step, testid: name, "aria-label": label, oninput: () => set(name, Number(slider.value)) });
    const number = element("input", { type: "number", step: "any", testid: `${name}-number`, "aria-label": label, onchange: () => set(name, Number(number.value)) });
    place.append(element("div", { className: "slider" }, element("span", { textContent: label }), slider, number));
  }
  const choice = (name, label, values) => {
    const select = element("select", { testid: name, onchange: () => { state.settings[name] = select.value; refresh(); } }, ...values.map(v => new Option(v, v)));
    place.append(element("div", { className: "row" }, element("label", { className: "grow" }, `${label} `, select)));
  };
  choice("window", "window", facts.windows);
  choice("truncation", "rows continued", facts.truncations);
  const rings = element("input", { type: "checkbox", testid: "rings", onchange: () => { state.settings.rings = rings.checked; refresh(); } });
  const whole = element("button", { type: "button", textContent: "whole slice", testid: "region-whole", onclick: () => { state.settings.region = null; refresh(); } });
  place.append(element("div", { className: "row" }, element("label", {}, rings, " reduce rings"), whole, element("span", { className: "quiet", textContent: "drag in the slice: region" })));
  byId("neighbour").append(...Object.entries(ranges()).filter(([name]) => name !== "voxel").map(([name, [label]]) => new Option(label, name)));
}

function controls() {
  byId("reset").addEventListener("click", () => { state.settings = { ...facts.defaults }; refresh(); });
  byId("neighbour").addEventListener("change", event => { state.name = event.target.value; byId("step").value = digits(ranges()[state.name][4], 3); strip(); });
  byId("step").value = digits(ranges().center[4], 3);
  byId("step").addEventListener("change", strip);
  for (const id of ["window-low", "window-high"])
    byId(id).addEventListener("change", () => setWindow(Number(byId("window-low").value), Number(byId("window-high").value)));
  byId("window-auto").addEventListener("click", () => { state.window = null; draw(); });
  byId("start").addEventListener("click", () => act("start"));
  byId("config").addEventListener("click", () => act("config"));
  byId("cancel").addEventListener("click", () => act("cancel"));
}

function fill() {
  for (const name of Object.keys(ranges())) {
    const value = state.settings[name] ?? facts[name];
    document.querySelector(`[data-testid="${name}"]`).value = value;
    document.querySelector(`[data-testid="${name}-number"]`).value = digits(value, 6);
  }
  for (const name of ["window", "truncation"]) document.querySelector(`select[data-testid="${name}"]`).value = state.settings[name];
  document.querySelector('[data-testid="rings"]').checked = state.settings.rings;
  pane.slider.value = state.index;
}

let rest;
function refresh() {
  document.body.dataset.ready = "no";
  byId("message").textContent = "";
  fill();
  const asked = ++state.asked, values = { settings: JSON.stringify(state.settings), index: state.index };
  const ask = (quality, done) => requests.coarse.ask("slice", { ...values, quality, over: "full,strip" }, picture => {
    if (asked >= state.shown && state.quality !== `full${asked}`) arrived(picture, asked, quality);
    done();
  });
  const sharp = () => requests.full.ask("slice", { ...values, quality: "full" }, picture => {
    if (asked !== state.asked) return;
    arrived(picture, asked, "full");
    state.slow = Number(picture.headers.get("X-Seconds")) > SLOW;
    document.body.dataset.ready = "yes";
    strip();
  });
  clearTimeout(rest);
  const isLast = does => () => { if (asked === state.asked) does(); };
  if (state.slow) ask("coarse", isLast(() => ask("medium", isLast(sharp))));
  else { ask("coarse", () => {}); rest = setTimeout(sharp, REST); }
}
state.shown = 0;

function arrived(picture, asked, quality) {
  state.shown = asked;
  state.quality = quality + asked;
  const spacing = picture.headers.get("X-Spacing").split(",").map(Number), first = picture.headers.get("X-First").split(",").map(Number);
  Object.assign(state, { picture, spacing, first });
  pane.size = picture.shape.map((n, i) => n * spacing[i]);
  Object.assign(pane.canvas.dataset, { quality, shape: picture.shape.join(","), seconds: picture.headers.get("X-Seconds"), sharpness: picture.headers.get("X-Sharpness") });
  const count = Number(picture.headers.get("X-Slices"));
  pane.slider.max = count - 1;
  pane.slider.hidden = count < 2;
  pane.places.textContent = (count > 1 ? `z ${length(Number(picture.headers.get("X-Height")), facts.length_unit)}, ${state.index + 1} of ${count}; ` : "")
    + `${Math.round(1000 * Number(picture.headers.get("X-Seconds")))} ms`;
  draw();
}

function setWindow(low, high) {
  if (high > low) { state.window = [low, high]; draw(); }
}

function draw() {
  if (!state.picture) return;
  if (!state.window) {
    const low = quantile(state.picture.data, .005), high = quantile(state.picture.data, .995);
    state.window = high > low ? [low, high] : [low - .5, low + .5];
  }
  const [low, high] = state.window;
  byId("window-low").value = digits(low, 5);
  byId("window-high").value = digits(high, 5);
  pane.show([{ plane: state.picture, kind: "grey", low, high }]);
}

function strip() {
  const name = state.name, step = Number(byId("step").value) || 1;
  requests.strip.ask("neighbours", { settings: JSON.stringify(state.settings), index: state.index, name, step }, found => {
    const [count, rows, columns] = found.shape, [low, high] = state.window;
    const values = found.headers.get("X-Positions").split(",").map(Number), scores = found.headers.get("X-Scores").split(",").map(Number);
    byId("strip").replaceChildren(...values.map((value, i) => {
      const data = found.data.subarray(i * rows * columns, (i + 1) * rows * columns);
      const canvas = element("canvas", { width: columns, height: rows, testid: `neighbour-${i}` });
      canvas.getContext("2d").putImageData(grey({ data, shape: [rows, columns] }, low, high), 0, 0);
      return element("figure", { className: i === count >> 1 ? "now" : "", title: "take this value", onclick: () => { state.settings[name] = value; refresh(); } },
        canvas, element("figcaption", { textContent: `${digits(value, 4)}` }));
    }));
    const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
    curve(byId("scores"), { x: order.map(i => values[i]), y: order.map(i => scores[i]), across: byId("neighbour").selectedOptions[0].text, up: "", height: 100, marks: () => [state.settings[name]] });
    Object.assign(byId("strip").dataset, { values: values.join(","), scores: scores.join(",") });
  });
}

async function act(name) {
  byId("message").textContent = "";
  try {
    const said = await post(name, state.settings);
    if (said.command) byId("command").textContent = said.command;
    if (name === "config") byId("job").textContent = `written: ${said.files.join(", ")}`;
    if (name !== "config") follow();
  } catch (error) { fail(error); }
}

async function follow() {
  let said;
  try { said = await json("status"); } catch (error) { fail(error); return; }
  byId("job").dataset.state = said.state;
  byId("start").disabled = said.state === "running";
  byId("cancel").disabled = said.state !== "running";
  const share = said.share != null ? ` ${Math.round(100 * said.share)} %` : "";
  const last = (said.lines ?? []).at(-1) ?? "";
  byId("job").textContent = { none: "", running: `${said.stage ?? "starting"}${share}`, done: `written: ${said.output}`,
    cancelled: `cancelled; ${last}`, failed: last }[said.state];
  if (said.state === "running") setTimeout(follow, 500);
}

async function start() {
  facts = await json("scan");
  byId("title").textContent = facts.name;
  byId("about").textContent = facts.about;
  document.title = `${facts.name} - sinograd tune`;
  state.settings = { ...facts.defaults };
  state.index = facts.slices >> 1;
  pane = new Pane({ name: "z", label: "z", slices: facts.slices, up: false });
  pane.on("slice", index => { state.index = index; refresh(); })
    .on("step", by => { state.index = Math.min(Number(pane.slider.max), Math.max(0, state.index + by)); refresh(); })
    .on("hover", point => {
      const at = point.map((p, i) => Math.floor(p / state.spacing[i])), [rows, columns] = state.picture.shape;
      if (at[0] < 0 || at[1] < 0 || at[0] >= rows || at[1] >= columns) return;
      const value = state.picture.data[at[0] * columns + at[1]];
      byId("value").textContent = `${digits(value)} ${facts.unit_text}`;
      byId("value").dataset.value = value;
      byId("position").textContent = `x ${digits(state.first[1] + at[1] * state.spacing[1])}, y ${digits(state.first[0] + at[0] * state.spacing[0])}`;
    })
    .on("drag", (from, to) => { pane.marks = [{ kind: "region", from, to }]; pane.draw(); })
    .on("release", (from, to) => {
      pane.marks = [];
      if (Math.abs(to[0] - from[0]) < 3 * state.spacing[0] || Math.abs(to[1] - from[1]) < 3 * state.spacing[1]) { pane.draw(); return; }
      const place = i => [from[i], to[i]].sort((a, b) => a - b).map(p => state.first[i] - state.spacing[i] / 2 + p);
      state.settings.region = [...place(1), ...place(0)];
      refresh();
    })
    .on("window", (dx, dy) => {
      const [low, high] = state.window, width = (high - low) * Math.exp(dx / 200), level = (low + high) / 2 + dy * (high - low) / 200;
      setWindow(level - width / 2, level + width / 2);
    });
  byId("slice").append(pane.node);
  pane.slider.hidden = facts.slices < 2;
  build();
  controls();
  refresh();
  follow();
}

start().catch(fail);
