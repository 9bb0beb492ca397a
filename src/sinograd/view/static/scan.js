/* The page of a scan: projections as a film, sinograms, references, dead pixels, the orbit. */
import { json, Newest } from "./api.js";
import { quantile } from "./colours.js";
import { Pane } from "./pane.js";
import { digits, element } from "./text.js";

const byId = id => document.getElementById(id);
const fail = error => { byId("message").textContent = error.message ?? String(error); document.body.dataset.ready = "yes"; };
const NAMES = { projection: "projections", sinogram: "sinograms", reference: "references", dark: "dark images", dead: "dead pixels" };
const requests = new Newest("image", fail);
const state = { kind: null, index: 0, window: null, picture: null, film: null };
let facts, pane;

function choose(kind) {
  Object.assign(state, { kind, index: facts.counts[kind] >> 1, window: null });
  pane.slider.max = facts.counts[kind] - 1;
  pane.slider.hidden = facts.counts[kind] < 2;
  pane.title.textContent = NAMES[kind];
  byId("kind").value = kind;
  refresh();
}

function refresh() {
  document.body.dataset.ready = "no";
  pane.slider.value = state.index;
  const { kind, index } = state;
  requests.ask("image", { kind, index }, picture => {
    if (kind !== state.kind) return;
    state.picture = picture;
    pane.up = kind !== "sinogram";
    pane.size = kind === "sinogram" ? [picture.shape[1], picture.shape[1]] : picture.shape;
    Object.assign(pane.canvas.dataset, { kind, index, shape: picture.shape.join(",") });
    const angle = kind === "projection" && facts.angles ? `, ${digits(facts.angles[index], 5)} deg` : "";
    pane.places.textContent = `${index + 1} of ${facts.counts[kind]}${angle}`;
    pane.corner.textContent = kind === "sinogram" ? "+u right, views down" : "+u right, +v up";
    draw();
    if (index === state.index) document.body.dataset.ready = "yes";
    if (state.film) state.film = setTimeout(() => { state.index = (state.index + 1) % facts.counts[kind]; refresh(); }, 40);
  });
}

function draw() {
  if (!state.picture) return;
  if (!state.window) {
    const low = quantile(state.picture.data, .005), high = quantile(state.picture.data, .995);
    state.window = state.kind === "dead" ? [0, 1] : high > low ? [low, high] : [low - .5, low + .5];
  }
  const [low, high] = state.window;
  byId("window-low").value = digits(low, 5);
  byId("window-high").value = digits(high, 5);
  pane.show([{ plane: state.picture, kind: "grey", low, high }]);
}

/* The source's places, the field of view, and in red the arcs without views and the directions of missing rays. */
async function orbit() {
  const found = await json("orbit"), canvas = byId("orbit"), pen = canvas.getContext("2d");
  const reach = Math.max(...found.source.map(([x, y]) => Math.hypot(x, y))), scale = .43 * canvas.width / reach, middle = canvas.width / 2;
  const style = getComputedStyle(document.body), at = ([x, y]) => [middle + x * scale, middle - y * scale];
  canvas.style.width = "100%";
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.lineWidth = 2;
  pen.strokeStyle = style.color;
  pen.beginPath();
  pen.arc(middle, middle, Math.max(3, Math.min(found.radius * scale, .4 * canvas.width)), 0, 7);
  pen.stroke();
  pen.fillStyle = "#2f7fd0";
  for (const place of found.source) {
    const [x, y] = at(place);
    pen.beginPath();
    pen.arc(x, y, 3, 0, 7);
    pen.fill();
  }
  pen.strokeStyle = "#d0392b";
  pen.lineWidth = 7;
  for (const [from, to] of found.gaps ?? []) {  // the source at angle a: (sin a, -cos a)
    pen.beginPath();
    pen.arc(middle, middle, .46 * canvas.width, (90 - from) * Math.PI / 180, (90 - to) * Math.PI / 180, true);
    pen.stroke();
  }
  pen.fillStyle = "rgb(208 57 43 / .35)";
  for (const [from, to] of found.directions ?? []) for (const half of [0, 180]) {
    pen.beginPath();
    pen.moveTo(middle, middle);
    pen.arc(middle, middle, .4 * canvas.width, -(from + half) * Math.PI / 180, -(to + half) * Math.PI / 180, true);
    pen.fill();
  }
  pen.fillStyle = style.color;
  pen.font = "22px system-ui";
  pen.fillText("+x", canvas.width - 30, middle - 6);
  pen.fillText("+y", middle + 6, 22);
  byId("coverage").textContent = found.text;
  canvas.dataset.missing = found.missing;
  canvas.dataset.views = found.source.length;
}

async function start() {
  facts = await json("scan_facts");
  byId("title").textContent = facts.name;
  byId("about").textContent = facts.about;
  document.title = `${facts.name} - sinograd view`;
  byId("metadata").parentElement.hidden = !Object.keys(facts.metadata).length;
  byId("metadata").append(...Object.entries(facts.metadata).map(([name, text]) => element("tr", {}, element("td", { textContent: name }), element("td", { textContent: text }))));
  const kinds = Object.keys(NAMES).filter(kind => facts.counts[kind]);
  byId("kind").append(...kinds.map(kind => new Option(NAMES[kind], kind)));
  pane = new Pane({ name: "image", label: "", slices: 2 });
  const to = index => { state.index = Math.min(facts.counts[state.kind] - 1, Math.max(0, index)); refresh(); };
  pane.on("slice", to).on("step", by => to(state.index + by)).on("hover", point => {
    if (!state.picture) return;
    const [rows, columns] = state.picture.shape, at = point.map((p, i) => Math.floor(p / pane.size[i] * state.picture.shape[i]));
    if (at[0] < 0 || at[1] < 0 || at[0] >= rows || at[1] >= columns) return;
    const value = state.picture.data[at[0] * columns + at[1]];
    byId("value").textContent = digits(value, 6);
    byId("value").dataset.value = value;
    byId("position").textContent = `${state.kind === "sinogram" ? "view" : "row"} ${at[0]}, column ${at[1]}`;
  }).on("window", (dx, dy) => {
    const [low, high] = state.window, width = (high - low) * Math.exp(dx / 200), level = (low + high) / 2 + dy * (high - low) / 200;
    state.window = [level - width / 2, level + width / 2];
    draw();
  });
  byId("panes").append(pane.node);
  byId("kind").addEventListener("change", event => choose(event.target.value));
  byId("play").addEventListener("click", () => {
    if (state.film) clearTimeout(state.film);
    state.film = state.film ? null : 1;
    byId("play").textContent = state.film ? "stop" : "play";
    if (state.film) refresh();
  });
  for (const id of ["window-low", "window-high"]) byId(id).addEventListener("change", () => {
    const window = [Number(byId("window-low").value), Number(byId("window-high").value)];
    if (window[1] > window[0]) { state.window = window; draw(); }
  });
  byId("window-auto").addEventListener("click", () => { state.window = null; draw(); });
  choose(kinds[0]);
  await orbit();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => orbit().catch(fail));
}

start().catch(fail);
