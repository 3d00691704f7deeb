// One val image: how it was read before the last epoch and after it, and what one step does to its loss.

import { get, runPath } from "../lib/api.js";
import { linearAxis, logAxis, logTicks } from "../lib/axes.js";
import { h, paint, picture, write } from "../lib/dom.js";
import { loss, number, percent } from "../lib/format.js";
import { Plot } from "../lib/plot.js";
import { Bars } from "./bars.js";
import { card } from "./layout.js";

export class OneImage {
  constructor(name, signal) {
    Object.assign(this, { name, signal });
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
    this.plot = new Plot(drawing, () => this.draw(), signal);
    this.problem = h("p", { class: "problem", role: "alert" });
    const move = (by) => () => this.go((this.index ?? 0) + by);
    this.node = h(
      "div",
      { class: "two" },
      card(
        "one-image",
        "One val image, before the last epoch and after it",
        "stack",
        h(
          "div",
          { class: "beside image-row" },
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
      card(
        "one-step",
        "What one step of W − lr · dL/dW does to this image’s loss",
        "stack",
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
      get(runPath(this.name, `/inspect/${what}${this.index === null ? "" : `?index=${this.index}`}`), this.signal);
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
    let change = "its loss is no longer a number";
    if (after !== null && loss(after) === loss(before)) change = `its loss stays at ${loss(before)}`;
    else if (after !== null)
      change = `its loss goes ${after < before ? "down" : "up"} from ${loss(before)} to ${loss(after)}`;
    write(this.told, `At lr ${number(lr)} ${change}.`);
    this.slider.setAttribute("aria-valuetext", `lr ${number(lr)}: ${change}`);
    this.plot.redraw();
  }

  draw() {
    if (!this.step) return null;
    const { lrs, losses, loss: before, lr } = this.step;
    const seen = [...losses, before].filter((value) => value > 0);
    const high = Math.max(...seen);
    const low = Math.max(Math.min(...seen), Math.min(before || high, high) / 1000); // below, nothing is left to gain
    const [bottom, top] = [low / 1.3, high * 1.3];
    const log = high > 10 * low;
    // Below the picture it runs along its edge.
    const within = (value) => (log && value !== null ? Math.max(value, low / 1.2) : value);
    return {
      x: logAxis(lrs[0], lrs.at(-1), logTicks(lrs[0], lrs.at(-1), 7)),
      title: "lr",
      rules: lr ? [lr] : [],
      panels: [
        {
          bottom: 0,
          top: 1,
          names: ["loss after the step", "loss after it"],
          axis: log ? logAxis(bottom, top, logTicks(bottom, top, 5)) : linearAxis(0, 1.08 * high, 5),
          rules: [before],
          curves: [
            {
              x: lrs,
              y: losses.map(within),
              colour: "var(--val)",
              told: (index) => `lr ${number(lrs[index])}: loss ${loss(losses[index])}`,
            },
            { x: [this.at.lr], y: [within(this.at.after)], colour: "var(--train)", mark: "circle", size: 6.5 },
          ],
        },
      ],
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
