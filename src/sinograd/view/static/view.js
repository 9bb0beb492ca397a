/* The page of volumes. */
import { json, address } from "./api.js";
import { Measure } from "./measure.js";
import { Planes } from "./planes.js";
import { Fourth } from "./fourth.js";
import { curve } from "./plots.js";
import { digits, lengthUnit } from "./text.js";

const byId = id => document.getElementById(id);
const fail = error => { byId("message").textContent = error.message ?? String(error); document.body.dataset.ready = "yes"; };

const state = { volumes: [], shown: 0, other: 1, mode: "one", window: [0, 1], reach: null, opacity: .5, cross: true, place: [0, 0, 0] };
let planes, fourth, histogram;

const volume = () => state.volumes[state.shown];

/* Cross-hair: voxel z, y, x of the shown volume. */
function move(place) {
  const shape = volume().shape3;
  state.place = place.map((p, i) => Math.min(shape[i] - 1, Math.max(0, Math.round(p))));
  planes.refresh();
  fourth.moved();
}

function setWindow(low, high) {
  if (!(high > low)) return;
  state.window = [low, high];
  byId("window-low").value = digits(low, 6);
  byId("window-high").value = digits(high, 6);
  planes.restyle();
  fourth.restyle();
  histogram?.redraw();
}

function chooseMode() {
  const several = state.volumes.length > 1;
  byId("volumes-section").hidden = !several;
  if (!several) state.mode = "one";
  if (state.other === state.shown) state.other = (state.shown + 1) % state.volumes.length;
  byId("other").value = state.other;
  byId("other-row").hidden = state.mode === "one";
  byId("opacity-row").hidden = state.mode !== "overlay";
  byId("reach-row").hidden = state.mode !== "difference";
  const beside = state.mode === "beside";
  byId("extra-section").hidden = beside || volume().image;
  planes.arrange(fourth, beside);
  move(state.place);
}

async function show(number) {
  const before = state.volumes[state.shown], next = state.volumes[number];
  const place = state.place.map((p, i) => (before.first[i] + p * before.spacing[i] - next.first[i]) / next.spacing[i]);
  state.shown = number;
  state.place = place;
  byId("about").textContent = next.about;
  byId("volume").value = number;
  setWindow(...next.window);
  chooseMode();
  await drawHistogram();
}

async function drawHistogram() {
  const number = state.shown, found = await json("histogram", { volume: number });
  if (number !== state.shown) return;
  if (!found.values) {
    byId("histogram").replaceChildren();
    byId("message").textContent = `${volume().name}: none of its values is finite; they are drawn in red.`;
    return;
  }
  const x = found.edges.slice(0, -1), y = found.counts.map(n => n ? Math.log10(n) : null);
  histogram = curve(byId("histogram"), { x, y, across: volume().unit_text, up: "", bars: true, counts: true,
    marks: () => state.window, picked: setWindow, height: 110 });
  byId("histogram").dataset.values = found.values;
  if (!found.complete) setTimeout(drawHistogram, 1000);
}

function value(text, exact, place) {
  byId("value").textContent = text === null ? "" : `${digits(text, exact ? volume().digits ?? 7 : 4)} ${volume().unit_text}`;
  byId("value").dataset.value = text ?? "";
  byId("value").dataset.exact = exact;
  byId("position").textContent = place;
}

let reading = 0;
/* The value of the voxel z, y, x: what the picture has, and then what the file has. */
export async function read(at, coarse, exact) {
  const v = volume(), now = ++reading;
  const [name, scale] = lengthUnit(Math.max(...v.shape3.map((n, i) => n * v.spacing[i])), v.length_unit);
  const places = (v.image ? [2, 1] : [2, 1, 0]).map(i => `${"zyx"[i]} ${digits((v.first[i] + at[i] * v.spacing[i]) / scale)}`);
  const text = `${places.join(", ")} ${name}; voxel ${(v.image ? [2, 1] : [2, 1, 0]).map(i => `${"zyx"[i]} ${at[i]}`).join(", ")}`;
  value(coarse, exact, text);
  if (exact) return;
  await new Promise(done => setTimeout(done, 80));
  if (now !== reading) return;
  try {
    const found = await json("value", { volume: state.shown, at: at.join(",") });
    if (now === reading) value(found.value ?? NaN, true, text);
  } catch (error) { fail(error); }
}

function controls() {
  for (const id of ["volume", "other"]) {
    byId(id).replaceChildren(...state.volumes.map((v, i) => new Option(v.name, i)));
  }
  byId("volume").addEventListener("change", event => show(Number(event.target.value)).catch(fail));
  byId("other").addEventListener("change", event => { state.other = Number(event.target.value); chooseMode(); });
  byId("mode").addEventListener("change", event => { state.mode = event.target.value; chooseMode(); });
  byId("opacity").addEventListener("input", event => { state.opacity = Number(event.target.value); planes.restyle(); });
  byId("reach").addEventListener("change", event => { state.reach = Math.abs(Number(event.target.value)) || null; planes.restyle(); });
  for (const id of ["window-low", "window-high"])
    byId(id).addEventListener("change", () => setWindow(Number(byId("window-low").value), Number(byId("window-high").value)));
  byId("window-auto").addEventListener("click", () => setWindow(...volume().window));
  byId("window-full").addEventListener("click", () => volume().low < volume().high && setWindow(volume().low, volume().high));
  byId("crosshair").addEventListener("change", event => { state.cross = event.target.checked; planes.restyle(); });
  setInterval(() => { if (state.mode === "flicker") planes.flicker(); }, 600);
}

async function start() {
  const { volumes } = await json("volumes");
  for (const v of volumes) Object.assign(v, { shape3: v.levels[0].shape, spacing: v.levels[0].spacing, first: v.levels[0].first });
  state.volumes = volumes;
  const names = volumes.map(v => v.name).join(", ");
  byId("title").textContent = names;
  document.title = `${names} - sinograd view`;
  const measure = new Measure({ tools: byId("tools"), table: byId("measures"), plot: byId("measure-plot"), failed: fail });
  planes = new Planes({ state, place: byId("panes"), measure, move, read, setWindow, failed: fail });
  fourth = new Fourth({ state, failed: fail, address, nifti: () => address("nifti", { volume: state.shown }) });
  state.place = volume().shape3.map(n => n >> 1);
  controls();
  await show(0);
}

start().catch(fail);
