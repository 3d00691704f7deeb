// All the weights: the first layer's filters, the sizes in each layer, and how far a batch's gradient is off.

import { logAxis, logTicks } from "../lib/axes.js";
import { h, paint, replace, scroller, table } from "../lib/dom.js";
import { number } from "../lib/format.js";
import { Plot } from "../lib/plot.js";
import { card } from "./layout.js";

export class Weights {
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
    this.plot = new Plot(drawing, () => noisePlot(this.noise), signal);
    this.node = h(
      "div",
      { class: "two" },
      h(
        "div",
        { class: "stack" },
        card(
          "filters",
          "The first layer’s filters",
          "stack",
          this.filters,
          h("p", { class: "diverging" }, "−", h("i", {}), "+", h("span", {}, "weights, all on one scale")),
        ),
        card("sizes", "How large W, dL/dW and the update are", "", this.layers),
      ),
      card(
        "noise",
        "A batch’s gradient is an estimate",
        "stack",
        h(
          "p",
          { class: "muted small" },
          "How far a batch’s gradient is from the gradient over all images, measured for several batch sizes.",
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
              "An error of 1 is as large as the gradient itself; a cosine of 1 is the same direction",
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

function noisePlot(noise) {
  const known = noise.filter((row) => row.relative_error > 0);
  if (!known.length) return null;
  const sizes = known.map((row) => row.batch_size);
  const errors = known.map((row) => row.relative_error);
  const [low, high] = [Math.min(...errors) / 1.4, Math.max(...errors) * 1.4];
  return {
    x: logAxis(Math.min(...sizes) / 1.2, Math.max(...sizes) * 1.2, sizes),
    title: "batch size",
    panels: [
      {
        bottom: 0,
        top: 1,
        names: ["relative error"],
        axis: logAxis(low, high, logTicks(low, high, 5)),
        curves: [
          {
            x: sizes,
            y: errors,
            colour: "var(--val)",
            mark: "circle",
            size: 4,
            told: (index) =>
              `batch of ${sizes[index]}: relative error ${number(errors[index])}, cosine ${number(known[index].cosine)}`,
          },
        ],
      },
    ],
  };
}
