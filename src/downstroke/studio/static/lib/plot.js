// plotly in the house style. It is fetched from this machine when the first curve is drawn, not before.

import { number } from "./format.js";

const LINES = ["solid", "dash", "dashdot", "dot"];
const MARKERS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x"];
let loading = null;

function plotly() {
  loading ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = "/static/plotly.min.js";
    script.addEventListener("load", () => done(window.Plotly));
    script.addEventListener("error", () => {
      loading = null;
      failed(new Error("the curves cannot be drawn: plotly is missing; pip install '.[studio]' in the clone"));
    });
    document.head.append(script);
  });
  return loading;
}

export function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ...Object.fromEntries(
      ["ink", "muted", "rule", "card", "val", "train", "batch", "shade", "accent"].map((name) => [name, of(name)]),
    ),
    runs: [0, 1, 2, 3, 4, 5, 6].map((index) => of(`run-${index}`)),
  };
}

export const runLook = (index, c) => ({
  color: c.runs[index % c.runs.length],
  dash: LINES[index % LINES.length],
  symbol: MARKERS[index % MARKERS.length],
});

// The size of the words in a picture, in px: it follows the size that the reader has chosen.
const em = () => 12.5 * (parseFloat(getComputedStyle(document.documentElement).fontSize) / 16);

// One picture. `build(colours, width)` gives {data, layout}; `redraw` asks for it again, at most about 6 times a second.
export class Plot {
  constructor(element, build, signal) {
    Object.assign(this, { element, build, signal, asked: false, running: false });
    const sizes = new ResizeObserver(() => this.redraw());
    sizes.observe(element);
    document.addEventListener("themechange", () => this.redraw(), { signal });
    signal.addEventListener("abort", () => {
      sizes.disconnect();
      if (window.Plotly) window.Plotly.purge(element);
    });
  }

  redraw() {
    this.asked = true;
    if (!this.running) this.run();
  }

  // One drawing after the other: what is asked for meanwhile is drawn by the next.
  async run() {
    this.running = true;
    while (this.asked && !this.signal.aborted) {
      this.asked = false;
      try {
        await this.draw(await plotly());
      } catch (error) {
        this.element.textContent = error.message;
      }
      await new Promise((done) => setTimeout(done, 160));
    }
    this.running = false;
  }

  async draw(Plotly) {
    const { element } = this;
    if (this.signal.aborted || !element.isConnected || !element.clientWidth) return;
    const c = colours();
    const { data, layout } = this.build(c, element.clientWidth);
    await Plotly.react(element, data, framed(layout, c, element), { displayModeBar: false, responsive: false });
  }
}

function framed(layout, c, element) {
  const size = em();
  const axis = {
    color: c.muted,
    gridcolor: c.rule,
    zeroline: false,
    fixedrange: true,
    ticks: "outside",
    ticklen: 5,
    tickcolor: "rgba(0,0,0,0)",
    exponentformat: "e",
  };
  const font = { family: getComputedStyle(document.body).fontFamily, size, color: c.ink };
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `${size}px ${font.family}`;
  const wide = (text) => pen.measureText(text).width;
  const fits = (text) => wide(text) < element.clientWidth - 6 * size; // beside the ticks
  const height = element.clientHeight - 5.5 * size; // without the margins
  const axes = {};
  for (const [key, own] of Object.entries(layout)) {
    if (key.startsWith("xaxis")) axes[key] = { ...axis, showgrid: false, ...own };
    if (key.startsWith("yaxis")) axes[key] = { ...axis, automargin: "left", ...spaced(own, height, 1.3 * size) };
  }
  const ticks = Object.entries(axes).flatMap(([key, { ticktext }]) => (key.startsWith("yaxis") && ticktext) || []);
  const left = Math.max(1.6 * size, ...ticks.map((text) => wide(text) + 0.8 * size));
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font,
    margin: { l: left, r: 1.2 * size, t: 2.1 * size, b: 3.4 * size }, // l grows where plotly's own ticks need it
    showlegend: false,
    dragmode: false,
    hoverlabel: { bgcolor: c.card, bordercolor: c.muted, font: { color: c.ink, size } },
    width: element.clientWidth,
    height: element.clientHeight,
    ...layout,
    ...axes,
    annotations: layout.annotations?.map(({ names, ...own }) => ({ ...own, text: names.find(fits) ?? names.at(-1) })),
  };
}

// The axis without the ticks that would be written over each other: nearer than `least` px to the one above.
function spaced(axis, height, least) {
  if (!axis.tickvals || !axis.range) return axis;
  const [bottom, top] = axis.domain ?? [0, 1];
  const [low, high] = axis.range;
  const at = (value) => ((axis.type === "log" ? Math.log10(value) : value) * height * (top - bottom)) / (high - low);
  const shown = [];
  for (let index = axis.tickvals.length - 1; index >= 0; index -= 1)
    if (!shown.length || at(axis.tickvals[shown[0]]) - at(axis.tickvals[index]) >= least) shown.unshift(index);
  if (shown.length === 1 && axis.tickvals.length > 1) shown.unshift(0); // one tick alone tells no scale
  return {
    ...axis,
    tickvals: shown.map((index) => axis.tickvals[index]),
    ticktext: shown.map((index) => axis.ticktext[index]),
  };
}

// Logarithmic where the values span more than a factor `from`; else from zero, unless they barely move.
export function lossAxis(values, from = 10) {
  const seen = values.filter((value) => Number.isFinite(value) && value > 0);
  if (!seen.length) return { range: [0, 2.5], tickvals: [], ticktext: [] };
  const low = Math.min(...seen);
  const high = Math.max(...seen);
  if (high > from * low) {
    const pad = Math.log10(high / low) * 0.06;
    const range = [Math.log10(low) - pad, Math.log10(high) + pad];
    const ticks = logTicks(10 ** range[0], 10 ** range[1]);
    return { type: "log", range, tickvals: ticks, ticktext: ticks.map(number) };
  }
  const pad = 0.08 * (high - low) || 0.05 * high || 1;
  return { type: "linear", range: [low < high / 1.5 ? 0 : low - pad, high + pad], nticks: 6 };
}

export function logTicks(low, high, most = 6, few = [1, 3]) {
  const decades = [];
  for (let d = Math.floor(Math.log10(low)); d <= Math.ceil(Math.log10(high)); d += 1) decades.push(d);
  for (const digits of [[1, 1.5, 2, 3, 4, 5, 6, 8], [1, 2, 5], few, [1]]) {
    const ticks = decades.flatMap((d) => digits.map((n) => Number(`${n}e${d}`))).filter((t) => t >= low && t <= high);
    if (ticks.length >= 2 && ticks.length <= most) return ticks;
  }
  return decades.map((d) => Number(`1e${d}`)).filter((t) => t >= low && t <= high);
}

const ROUND = [1];
for (let d = -1; d >= -9; d -= 1) ROUND.push(...[5, 2, 1].map((n) => Number(`${n}e${d}`)));

// Logarithmic in the errors, between round numbers, as in the pictures of the command line: 99.0% and 99.5% are as far
// apart as they matter. There is no 100% on such an axis: half of the fewest errors on it stands for none.
export function accuracyAxis(values) {
  const seen = values.filter(Number.isFinite);
  if (!seen.length) return { place: (value) => value, axis: { range: [0, 1], tickvals: [], ticktext: [] } };
  const errors = seen.map((value) => 1 - value).filter((error) => error > 0);
  const most = ROUND.findLast((step) => step >= 0.999 * Math.max(0, ...errors) && step >= (errors.length ? 0 : 0.02));
  const fewest = ROUND.find((step) => step <= 1.001 * Math.min(1, ...errors)) ?? ROUND.at(-1);
  const least = Math.min(errors.length ? fewest : 0.01, most / 5);
  const perfect = seen.some((value) => value >= 1);
  const floor = perfect ? least / 2 : least;
  const at = (error) => -Math.log10(error);
  const pad = 0.12 * (at(floor) - at(most)); // a mark at either end stays whole
  const ticks = logTicks(0.999 * least, 1.001 * most, 4, [1, 5]);
  const written = (error) => `${Number((100 * (1 - error)).toFixed(6))}%`;
  return {
    place: (value) => (Number.isFinite(value) ? at(Math.max(1 - value, floor)) : null),
    axis: {
      range: [at(most) - pad, at(floor) + pad],
      tickvals: [...ticks.map(at), ...(perfect ? [at(floor)] : [])],
      ticktext: [...ticks.map(written), ...(perfect ? ["100%"] : [])],
    },
  };
}

// A name above the panel whose upper end is at `y` (0..1 of the picture): the first of `names` that has room.
export const panelName = (names, y, c) => ({
  names,
  x: 0,
  y,
  xref: "paper",
  yref: "paper",
  xanchor: "left",
  yanchor: "bottom",
  xshift: -4,
  showarrow: false,
  font: { color: c.muted },
});
