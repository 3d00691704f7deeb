// Look inside: the current W, the gradient and its noise, and what one step does to one image.

import { get, runPath } from "./api.js";
import { Bars } from "./bars.js";
import { logTicks, panelName, Plot } from "./curves.js";
import { h, paint, picture, replace, say, scroller, table, write } from "./dom.js";
import { loss, number, percent } from "./format.js";
import { chosen, fetchRuns, nothing, picker, unknown, watchRuns } from "./runs.js";

export async function show(root, names, signal) {
  const { runs } = await fetchRuns(signal);
  const run = chosen(runs, names);
  const trained = runs.filter(({ steps }) => steps > 0);
  root.append(
    h(
      "div",
      { class: "lead" },
      h(
        "div",
        {},
        h("h1", {}, "Look inside"),
        h("p", {}, "The current W: what it looks at, how it moves, and what one step does."),
      ),
      run ? picker(trained, run.name, "inside") : null,
    ),
  );
  if (!run) {
    root.append(names[0] ? unknown(names[0]) : nothing("There is no W to look into."));
    return;
  }
  const at = h("p", { class: "muted small", role: "status" });
  const whole = new Whole(signal);
  const single = new Single(run, signal);
  root.append(at, single.node, whole.node);

  let seen = null; // epochs
  let looking = false;
  const look = async () => {
    looking = true;
    try {
      const found = await get(runPath(run.name, "/inspect"), signal);
      whole.show(found);
      write(
        at,
        `W of ${run.name} after epoch ${found.epoch}, step ${found.step.toLocaleString("en")}. ` +
          "While it trains, this follows each checkpoint.",
      );
      if (seen !== null) say(`W of epoch ${found.epoch}`);
    } catch (error) {
      if (!signal.aborted) replace(at, h("span", { class: "problem" }, error.message));
    }
    looking = false;
  };
  write(at, `Looking into W of ${run.name}…`);
  single.look();
  // Live: a run that has trained on since is looked into again.
  watchRuns(({ runs: now }) => {
    const epochs = now.find(({ name }) => name === run.name)?.epochs;
    if (looking || epochs === seen) return;
    if (seen !== null) single.look();
    look();
    seen = epochs;
  }, signal);
}

// ---- the whole W ----

class Whole {
  constructor(signal) {
    this.filters = h("ul", { class: "filters" });
    this.layers = h("div", {});
    this.noise = [];
    this.noiseTable = h("div", {});
    const drawing = h("div", {
      class: "plot plot-small",
      role: "img",
      "aria-label": "Relative error of a batch’s gradient by batch size",
    });
    this.drawing = drawing;
    this.plot = new Plot(drawing, (c) => noisePlot(this.noise, c), signal);
    this.node = h(
      "div",
      { class: "two" },
      h(
        "div",
        { class: "stack" },
        h(
          "section",
          { class: "card stack", "aria-labelledby": "filters" },
          h("h2", { id: "filters" }, "The first layer’s filters"),
          this.filters,
          h("p", { class: "diverging" }, "−", h("i", {}), "+", h("span", {}, "weights, all on one scale")),
        ),
        h(
          "section",
          { class: "card", "aria-labelledby": "sizes" },
          h("h2", { id: "sizes" }, "How large W, dL/dW and the update are"),
          this.layers,
        ),
      ),
      h(
        "section",
        { class: "card stack", "aria-labelledby": "noise" },
        h("h2", { id: "noise" }, "A batch’s gradient is an estimate"),
        h(
          "p",
          { class: "muted small" },
          "How far it is from the gradient over all images, by batch size: here it is measured.",
        ),
        drawing,
        this.noiseTable,
      ),
    );
    replace(this.layers, h("p", { class: "muted" }, "…"));
  }

  show({ filters, layers, noise }) {
    replace(
      this.filters,
      filters.length
        ? filters.map(({ pixels }, index) => h("li", {}, filterPicture(pixels, `Filter ${index + 1}`)))
        : h("li", { class: "muted" }, "This model’s first layer has no filters to show."),
    );
    replace(
      this.layers,
      scroller(
        "Sizes by layer",
        table(
          "Root mean squares; dL/dW is the next batch’s",
          ["layer", "W", "dL/dW", "update", "update / W"],
          layers.map((layer) => [
            layer.name,
            number(layer.weights),
            number(layer.gradient),
            number(layer.update),
            number(layer.weights ? layer.update / layer.weights : null),
          ]),
        ),
      ),
    );
    this.noise = noise;
    replace(
      this.noiseTable,
      noise.length
        ? scroller(
            "Noise by batch size",
            table(
              "1 is as large as the gradient itself; a cosine of 1 is the same direction",
              ["batch size", "relative error", "cosine"],
              noise.map((row) => [String(row.batch_size), number(row.relative_error), number(row.cosine)]),
            ),
          )
        : h("p", { class: "muted" }, "Nothing was measured."),
    );
    this.drawing.setAttribute(
      "aria-label",
      noise.map((row) => `batch size ${row.batch_size}: relative error ${number(row.relative_error)}`).join("; "),
    );
    this.plot.redraw();
  }
}

// Orange is negative, white is nothing, blue is positive: the colours of train and val.
function filterPicture(pixels, label) {
  const canvas = h("canvas", { class: "pixels", role: "img", "aria-label": label });
  const mix = (size, to) => to.map((channel) => Math.round(255 + size * (channel - 255)));
  paint(canvas, pixels, (value) => mix(Math.min(1, Math.abs(value)), value < 0 ? [217, 115, 13] : [11, 60, 111]));
  return canvas;
}

function noisePlot(noise, c) {
  const known = noise.filter((row) => row.relative_error > 0);
  const sizes = known.map((row) => row.batch_size);
  const errors = known.map((row) => row.relative_error);
  const ticks = known.length ? logTicks(Math.min(...errors) / 1.4, Math.max(...errors) * 1.4, 5) : [];
  return {
    data: [
      {
        x: sizes,
        y: errors,
        mode: "lines+markers",
        line: { color: c.val, width: 2.2 },
        marker: { color: c.val, size: 8 },
        customdata: known.map((row) => [number(row.relative_error), number(row.cosine)]),
        hovertemplate: "batch of %{x}: relative error %{customdata[0]}, cosine %{customdata[1]}<extra></extra>",
      },
    ],
    layout: {
      xaxis: { type: "log", tickvals: sizes, ticktext: sizes.map(String), title: { text: "batch size", standoff: 10 } },
      yaxis: { type: "log", tickvals: ticks, ticktext: ticks.map(number) },
      annotations: [panelName("relative error", 1, c)],
    },
  };
}

// ---- one image ----

class Single {
  constructor(run, signal) {
    this.run = run;
    this.signal = signal;
    this.index = null; // the server chooses an uncertain one
    this.asked = 0;
    this.step = null;
    this.canvas = picture(blank(), "The image");
    this.label = h("p", { class: "small" });
    this.input = h("input", {
      type: "number",
      id: "val-index",
      min: "0",
      onchange: () => this.go(Number(this.input.value)),
    });
    this.bars = new Bars("Probabilities before the epoch and after it", true);
    this.bars.show("0123456789".split(""), null);
    this.slider = h("input", {
      type: "range",
      id: "slider",
      min: "0",
      max: "100",
      value: "50",
      step: "1",
      oninput: () => this.slide(),
      disabled: true,
    });
    this.told = h("p", { "aria-live": "polite", class: "verdict" });
    const drawing = h("div", {
      class: "plot plot-small",
      role: "img",
      "aria-label": "Loss of this image after one step, by lr",
    });
    this.plot = new Plot(drawing, (c) => this.draw(c), signal);
    this.problem = h("p", { class: "problem", role: "alert" });
    const move = (by) => () => this.go((this.index ?? 0) + by);
    this.node = h(
      "div",
      { class: "two" },
      h(
        "section",
        { class: "card stack", "aria-labelledby": "one-image" },
        h("h2", { id: "one-image" }, "One val image, before the last epoch and after it"),
        h(
          "div",
          { class: "image-row" },
          h(
            "div",
            {},
            this.canvas,
            h(
              "div",
              { class: "index-row" },
              h("button", { type: "button", onclick: move(-1), "aria-label": "The image before" }, "←"),
              h("span", {}, h("label", { for: "val-index", class: "unseen" }, "Index of the val image"), this.input),
              h("button", { type: "button", onclick: move(1), "aria-label": "The next image" }, "→"),
            ),
            this.label,
          ),
          this.bars.node,
        ),
        this.problem,
      ),
      h(
        "section",
        { class: "card stack", "aria-labelledby": "one-step" },
        h("h2", { id: "one-step" }, "What one step of W − lr · dL/dW does to this image’s loss"),
        h("div", {}, h("label", { for: "slider" }, "lr of the step"), this.slider, this.told),
        drawing,
        h("p", { class: "muted small" }, "Dotted: the loss before the step, and the lr that the run has now."),
      ),
    );
  }

  go(index) {
    this.index = Math.max(0, Number.isInteger(index) ? index : 0);
    this.input.value = this.index;
    this.look();
  }

  async look() {
    const mine = (this.asked += 1);
    const of = (what) =>
      get(runPath(this.run.name, `/inspect/${what}${this.index === null ? "" : `?index=${this.index}`}`), this.signal);
    try {
      const image = await of("image");
      if (mine !== this.asked) return;
      this.index = image.index;
      this.input.value = image.index;
      this.showImage(image);
      const step = await of("step");
      if (mine !== this.asked) return;
      this.step = step;
      this.slider.disabled = false;
      this.slider.value = Math.round(100 * placeOf(step, step.lr));
      this.slide();
      this.plot.redraw();
      write(this.problem, "");
    } catch (error) {
      if (!this.signal.aborted) write(this.problem, error.message);
    }
  }

  showImage({ index, image, label, classes, probabilities, before, loss: value }) {
    paint(this.canvas, image, (level) => [255 - level, 255 - level, 255 - level]);
    this.canvas.setAttribute("aria-label", `Val image ${index}, a ${classes[label]}`);
    this.bars.show(classes, probabilities, before);
    const top = probabilities.indexOf(Math.max(...probabilities));
    write(
      this.label,
      `A ${classes[label]}, read as ${classes[top]} (${percent(probabilities[top], 1)}); loss ${loss(value)}`,
    );
  }

  // The slider reads from the measured curve: lr at its place, the loss between its two neighbours.
  slide() {
    const { lrs, losses, loss: before } = this.step;
    const place = Number(this.slider.value) / 100;
    const first = Math.log10(lrs[0]);
    const lr = 10 ** (first + place * (Math.log10(lrs.at(-1)) - first));
    const after = between(lrs, losses, lr);
    this.at = { lr, after };
    let change = "its loss is no number any more";
    if (after !== null && loss(after) === loss(before)) change = `its loss stays at ${loss(before)}`;
    else if (after !== null)
      change = `its loss goes ${after < before ? "down" : "up"} from ${loss(before)} to ${loss(after)}`;
    write(this.told, `At lr ${number(lr)} ${change}.`);
    this.slider.setAttribute("aria-valuetext", `lr ${number(lr)}: ${change}`);
    this.plot.redraw();
  }

  draw(c) {
    if (!this.step) return { data: [], layout: { xaxis: { visible: false }, yaxis: { visible: false } } };
    const { lrs, losses, loss: before, lr } = this.step;
    const known = lrs.map((_, index) => index).filter((index) => losses[index] !== null);
    const seen = known
      .map((index) => losses[index])
      .concat(before ?? [])
      .filter((value) => value > 0);
    const high = Math.max(...seen);
    const low = Math.max(Math.min(...seen), Math.min(before || high, high) / 1000); // below, nothing is left to gain
    const log = high > 10 * low;
    const ticks = log ? logTicks(low / 1.3, high * 1.3, 5) : null;
    const rule = (x0, x1, y0, y1, extra) => ({
      type: "line",
      x0,
      x1,
      y0,
      y1,
      line: { color: c.muted, width: 1, dash: "dot" },
      ...extra,
    });
    return {
      data: [
        {
          x: known.map((index) => lrs[index]),
          y: known.map((index) => losses[index]),
          mode: "lines",
          line: { color: c.val, width: 2.2 },
          customdata: known.map((index) => [number(lrs[index]), loss(losses[index])]),
          hovertemplate: "lr %{customdata[0]}: loss %{customdata[1]}<extra></extra>",
        },
        {
          x: [this.at.lr],
          y: [this.at.after],
          mode: "markers",
          marker: { color: c.train, size: 13, line: { color: c.card, width: 2 } },
          hoverinfo: "skip",
        },
      ],
      layout: {
        xaxis: {
          type: "log",
          tickvals: logTicks(lrs[0], lrs.at(-1), 7),
          ticktext: logTicks(lrs[0], lrs.at(-1), 7).map(number),
          title: { text: "lr", standoff: 10 },
        },
        yaxis: log
          ? {
              type: "log",
              range: [Math.log10(low / 1.3), Math.log10(high * 1.3)],
              tickvals: ticks,
              ticktext: ticks.map(number),
            }
          : { rangemode: "tozero", nticks: 5 },
        shapes: [rule(0, 1, before, before, { xref: "paper" }), ...(lr ? [rule(lr, lr, 0, 1, { yref: "paper" })] : [])],
        annotations: [panelName("loss after the step", 1, c)],
      },
    };
  }
}

const blank = () => Array.from({ length: 28 }, () => new Array(28).fill(0));

function placeOf({ lrs }, lr) {
  const [low, high] = [Math.log10(lrs[0]), Math.log10(lrs.at(-1))];
  return Math.min(1, Math.max(0, (Math.log10(lr ?? 1e-3) - low) / (high - low)));
}

function between(lrs, losses, lr) {
  let right = lrs.findIndex((value) => value >= lr);
  if (right <= 0) right = right === 0 ? 1 : lrs.length - 1;
  const [a, b] = [losses[right - 1], losses[right]];
  if (a === null || b === null) return null;
  const share = (Math.log10(lr) - Math.log10(lrs[right - 1])) / (Math.log10(lrs[right]) - Math.log10(lrs[right - 1]));
  return a + Math.min(1, Math.max(0, share)) * (b - a);
}
