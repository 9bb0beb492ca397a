/* Curves and histograms, drawn by uPlot. */
import { css, digits } from "./text.js";

const colour = name => {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

const tick = value => {
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(1).replace(".0e", "e").replace("e+", "e") : digits(value, 3);
};

const axis = (label, values) => ({
  stroke: () => colour("--quiet"), font: "11px system-ui", labelFont: "11px system-ui", label, labelSize: label ? 16 : 0, size: 34,
  grid: { stroke: () => colour("--edge"), width: 1 }, ticks: { stroke: () => colour("--edge"), width: 1, size: 4 }, values,
});

/* The last plot of each place, which is drawn anew when the system goes from light to dark. */
const drawn = new Map();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const plot of drawn.values()) plot.redraw(false); });

/* A curve of `y` over `x` in `place`; marks: vertical lines at x; picked: called with (low, high) of a range that is dragged. */
export function curve(place, { x, y, across, up, marks = () => [], picked = null, bars = false, height = 130, counts = false }) {
  const drawMarks = plot => {
    const pen = plot.ctx;
    pen.save();
    pen.strokeStyle = colour("--line");
    pen.lineWidth = 2;
    for (const at of marks()) {
      const left = Math.round(plot.valToPos(at, "x", true));
      if (left < plot.bbox.left || left > plot.bbox.left + plot.bbox.width) continue;
      pen.beginPath();
      pen.moveTo(left, plot.bbox.top);
      pen.lineTo(left, plot.bbox.top + plot.bbox.height);
      pen.stroke();
    }
    pen.restore();
  };
  const options = {
    width: Math.max(120, place.clientWidth), height, legend: { show: false },
    scales: { x: { time: false } }, padding: [6, 10, 0, 0],
    cursor: { y: false, drag: { x: Boolean(picked), y: false, setScale: false }, points: { size: 5 } },
    axes: [{ ...axis(across, (_, v) => v.map(tick)), size: 28, space: 60 },
           { ...axis(up, counts ? (_, v) => v.map(one => Number.isInteger(one) ? `1e${one}` : "") : (_, v) => v.map(tick)), size: 46 }],
    series: [{}, { stroke: () => colour("--accent"), width: 1.5, points: { show: false },
                   fill: bars ? () => colour("--accent") : undefined, paths: bars ? uPlot.paths.stepped({ align: 1 }) : undefined }],
    hooks: {
      draw: [drawMarks],
      setSelect: [plot => {
        if (!picked || plot.select.width < 3) return;
        const low = plot.posToVal(plot.select.left, "x"), high = plot.posToVal(plot.select.left + plot.select.width, "x");
        plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        picked(low, high);
      }],
    },
  };
  place.replaceChildren();
  const plot = new uPlot(options, [x, y], place);
  drawn.set(place, plot);
  new ResizeObserver(() => plot.setSize({ width: Math.max(120, place.clientWidth), height })).observe(place);
  return plot;
}

export { css };
