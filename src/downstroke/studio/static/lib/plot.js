// Pictures of curves in SVG: panels below each other on one x axis. Their colours are the theme's own variables, so that
// a change of theme needs no drawing.

import { h, replace, svg } from "./dom.js";

const NEAR = 30; // px from the pointer within which a point is told
const LINES = ["", "7 4", "8 3 2 3", "2 3"];
const CORNERS = {
  square: [-0.9, -0.9, 1.8, 0, 0, 1.8, -1.8, 0],
  up: [-1.1, 0.9, 1.1, -2, 1.1, 2],
  diamond: [-1.3, 0, 1.3, -1.3, 1.3, 1.3, -1.3, 1.3],
  down: [-1.1, -0.9, 1.1, 2, 1.1, -2],
  cross: [-1.2, -0.4, 0.8, 0, 0, -0.8, 0.8, 0, 0, 0.8, 0.8, 0, 0, 0.8, -0.8, 0, 0, 0.8, -0.8, 0, 0, -0.8, -0.8, 0],
  x: [
    -1.2, -0.7, 0.5, -0.5, 0.7, 0.7, 0.7, -0.7, 0.5, 0.5, -0.7, 0.7, 0.7, 0.7, -0.5, 0.5, -0.7, -0.7, -0.7, 0.7, -0.5,
    -0.5, 0.7, -0.7,
  ],
};
const MARKS = ["circle", ...Object.keys(CORNERS)];

export const runLook = (index) => ({
  colour: `var(--run-${index % 7})`,
  dash: LINES[index % LINES.length],
  mark: MARKS[index % MARKS.length],
});

// The curve of the rows that have a number as `key`: each at `x(row)`, and told as `told(row)`.
export function curveOf(rows, x, key, told, look) {
  const known = rows.filter((row) => Number.isFinite(row[key]));
  return { x: known.map(x), y: known.map((row) => row[key]), told: (index) => told(known[index]), ...look };
}

// The path of a mark at (x, y), `r` px large.
export const markPath = (kind, x, y, r) =>
  kind === "circle"
    ? `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`
    : `M${x} ${y}m${CORNERS[kind].map((part) => Math.round(100 * part * r) / 100).join(" ")}z`;

// The size of the words in a picture, in px: it follows the size that the reader has chosen.
const em = () => 12.5 * (parseFloat(getComputedStyle(document.documentElement).fontSize) / 16);

// One picture. `build(width, em)`, both in px, gives what is drawn, or null where nothing is known yet:
//   x       the axis, with its `title`; `rules`: values that are marked in all panels
//   panels  [{bottom, top, names, axis, rules, areas, curves}]: `bottom` and `top` in 0..1 of the picture, the first of
//           `names` that has room, `areas` [{x, low, high}]
//   curves  [{x, y, colour, width, dash, mark, size, hollow, told}]: `told(index)` are the words for one of its points
// What is drawn is kept as `element.drawn`.
export class Plot {
  constructor(element, build, signal) {
    Object.assign(this, { element, build, signal, asked: null, pointer: null, heard: [] });
    this.tip = h("div", { class: "tip", hidden: true });
    this.guide = svg("path", { class: "guide" });
    this.svg = svg("svg", { "aria-hidden": "true" });
    const sizes = new ResizeObserver(() => this.redraw());
    sizes.observe(element);
    signal.addEventListener("abort", () => sizes.disconnect());
    for (const kind of ["pointermove", "pointerdown"]) element.addEventListener(kind, (event) => this.point(event));
    element.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && this.point(null));
  }

  // All that is asked for before the next frame is drawn once.
  redraw() {
    this.asked ??= requestAnimationFrame(() => {
      this.asked = null;
      if (!this.signal.aborted) this.draw();
    });
  }

  draw() {
    const { element } = this;
    const { clientWidth: width, clientHeight: height } = element;
    const size = em();
    const picture = element.isConnected && width ? this.build(width, size) : null;
    if (!picture) return;
    const { x, title, rules = [] } = picture;
    const wide = measure(size);
    const most = (words) => Math.max(0, ...words.map(wide));
    const place = { top: 2.1 * size, bottom: height - 3.4 * size };
    const tall = place.bottom - place.top;
    const panels = picture.panels.map((panel) => {
      const [low, high] = [place.bottom - panel.bottom * tall, place.bottom - panel.top * tall];
      return { ...panel, high, at: scale(panel.axis, low, high), ticks: spaced(panel.axis, low - high, 1.3 * size) };
    });
    place.left = Math.max(1.6 * size, most(panels.flatMap(({ ticks }) => ticks.map(([, word]) => word))) + 0.8 * size);
    place.right = width - Math.max(1.2 * size, most(x.words.slice(-1)) / 2 + 2);
    const at = scale(x, place.left, place.right);
    const under = spaced(x, place.right - place.left, most(x.words) + 0.5 * size);
    this.heard = [];
    Object.entries({ width, height, "font-size": size }).forEach(([key, value]) => this.svg.setAttribute(key, value));
    replace(
      this.svg,
      panels.map((panel) => this.backOf(panel, place, wide, size)),
      under.map(([tick, word]) => text(word, at(null, tick), place.bottom + 1.4 * size, "middle")),
      text(title, (place.left + place.right) / 2, height - 0.6 * size, "middle"),
      rules.map((value) => svg("path", { class: "rule", d: `M${round(at(value))} ${place.top}V${place.bottom}` })),
      panels.map((panel) => [
        panel.areas?.map((area) => areaOf(area, at, panel.at)),
        panel.curves.map((curve) => this.curveOf(curve, at, panel.at)),
      ]),
      this.guide,
    );
    Object.assign(this, { place, width, height });
    element.drawn = picture;
    if (!this.svg.isConnected) replace(element, this.svg, this.tip);
    this.tell();
  }

  backOf({ ticks, at, high, names, rules = [] }, { left, right }, wide, size) {
    const across = (y, name) => svg("path", { class: name, d: `M${left} ${round(y)}H${right}` });
    const name = names.find((one) => wide(one) < this.element.clientWidth - 6 * size) ?? names.at(-1);
    return [
      ticks.map(([tick, word]) => [
        across(at(null, tick), "grid"),
        text(word, left - 0.5 * size, at(null, tick) + 0.35 * size, "end"),
      ]),
      rules.map((value) => across(at(value), "rule")),
      text(name, left - 4, high - 0.45 * size, "start"),
    ];
  }

  curveOf({ x, y, colour, width = 2.2, dash, mark, size = 3.5, hollow, told }, across, up) {
    const points = x.map((value, index) => [across(value), up(y[index]), index]);
    const known = points.filter(([left, top]) => Number.isFinite(left) && Number.isFinite(top));
    if (told) this.heard.push({ points: known, told });
    return [
      svg("path", {
        class: "curve",
        d: line(seen(known)),
        stroke: colour,
        "stroke-width": width,
        "stroke-dasharray": dash,
      }),
      mark &&
        svg("path", {
          d: known.map(([left, top]) => markPath(mark, round(left), round(top), size)).join(""),
          fill: hollow ?? colour,
          stroke: hollow ? colour : null,
          "stroke-width": 1.6,
        }),
    ];
  }

  point(event) {
    const box = this.element.getBoundingClientRect();
    this.pointer = event && [event.clientX - box.left, event.clientY - box.top];
    this.tell();
  }

  // What the curves are where the pointer is: the first that has a point near it decides where.
  tell() {
    const lines = [];
    let [here, top] = this.pointer ?? [];
    for (const { points, told } of this.pointer ? this.heard : []) {
      const near = nearest(points, here);
      if (!near || Math.abs(near[0] - here) > NEAR) continue;
      if (!lines.length) here = near[0];
      lines.push(told(near[2]));
    }
    this.tip.hidden = !lines.length;
    this.guide.setAttribute("d", lines.length ? `M${round(here)} ${this.place.top}V${this.place.bottom}` : "");
    if (!lines.length) return;
    replace(
      this.tip,
      lines.map((said) => h("div", {}, said)),
    );
    const before = here > this.width / 2; // of the point, where there is more room
    const { style } = this.tip;
    style.left = before ? "auto" : `${here + 10}px`;
    style.right = before ? `${this.width - here + 10}px` : "auto";
    style.top = `${Math.max(0, Math.min(top, this.height - this.tip.offsetHeight))}px`;
  }
}

const round = (value) => Math.round(10 * value) / 10;
const text = (said, x, y, anchor) => svg("text", { x: round(x), y: round(y), "text-anchor": anchor }, said);
const line = (points) => points.map(([x, y], index) => `${index ? "L" : "M"}${round(x)} ${round(y)}`).join("");

function measure(size) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  return (said) => pen.measureText(said).width;
}

// From a value, or a place on the axis, to px: the axis reaches from `first` to `last`.
function scale({ at, range: [low, high] }, first, last) {
  return (value, place = at(value)) => (place === null ? NaN : first + ((place - low) / (high - low)) * (last - first));
}

// The ticks that would not be written over each other on an axis of `length` px: at least `least` px below the one above.
function spaced({ range: [low, high], ticks, words }, length, least) {
  const all = ticks.map((tick, index) => [tick, words[index]]);
  const shown = [];
  for (const tick of all.toReversed())
    if (!shown.length || ((shown[0][0] - tick[0]) * length) / (high - low) >= least) shown.unshift(tick);
  if (shown.length === 1 && all.length > 1) shown.unshift(all[0]); // one tick alone tells no scale
  return shown;
}

// No more points than can be seen: of those in one column of pixels the first, the highest, the lowest and the last.
function seen(points) {
  const kept = [];
  let column = null;
  const close = () => kept.push(...new Set([column.first, column.highest, column.lowest, column.last]));
  for (const point of points) {
    const at = Math.round(point[0]);
    if (column?.at !== at) {
      if (column) close();
      column = { at, first: point, highest: point, lowest: point };
    }
    if (point[1] < column.highest[1]) column.highest = point;
    if (point[1] > column.lowest[1]) column.lowest = point;
    column.last = point;
  }
  if (column) close();
  return kept;
}

function areaOf({ x, low, high }, across, up) {
  const edge = (ys) => x.map((value, index) => [across(value), up(ys[index])]);
  return svg("path", { class: "area", d: line([...edge(low), ...edge(high).reverse()]) });
}

const nearest = (points, x) =>
  points.reduce((best, point) => (best && Math.abs(best[0] - x) <= Math.abs(point[0] - x) ? best : point), null);
