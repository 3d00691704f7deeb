// One digit that was read: the glyph that the network saw, the probabilities, and "that was wrong".

import { post } from "../lib/api.js";
import { Bars } from "./bars.js";
import { h, paint, replace, write } from "../lib/dom.js";
import { percent, several } from "../lib/format.js";
import { card } from "./layout.js";

const DIGITS = "0123456789".split("");

export class DigitPanel {
  constructor(onlyReads) {
    this.digit = null;
    this.glyph = h("canvas", {
      class: "pixels glyph",
      role: "img",
      "aria-label": "The glyph: nothing yet",
      width: 28,
      height: 28,
    });
    this.verdict = h("p", { class: "verdict" }, "Draw a digit to see what the network makes of it.");
    this.bars = new Bars("Probabilities of the chosen digit");
    this.bars.show(DIGITS, null);
    this.kept = h("p", { class: "kept", role: "status" });
    this.lesson = h("div", { class: "lesson" });
    this.labels = h("div", { class: "labels", role: "group", "aria-label": "That was wrong, it is a" });
    this.setClasses(DIGITS);
    this.node = card(
      "chosen",
      "What the network sees",
      "stack",
      h(
        "div",
        { class: "beside seen" },
        h("figure", {}, this.glyph, h("figcaption", {}, "the glyph, 28×28")),
        h("div", {}, this.verdict),
      ),
      this.bars.node,
      onlyReads ? null : h("div", {}, h("p", {}, "That was wrong, it is a"), this.labels, this.kept, this.lesson),
    );
  }

  setClasses(classes) {
    this.classes = classes;
    replace(
      this.labels,
      classes.map((name) =>
        h(
          "button",
          { type: "button", disabled: true, onclick: () => this.keep(name), "aria-label": `It is a ${name}` },
          name,
        ),
      ),
    );
    this.bars.show(classes, null);
  }

  // `digit` is one of the reading's; null where there is none.
  show(digit) {
    this.digit = digit;
    this.bars.show(this.classes, digit?.probabilities ?? null);
    for (const button of this.labels.children) button.disabled = !digit?.glyph;
    if (!digit) {
      this.glyph.getContext("2d").clearRect(0, 0, 28, 28);
      this.glyph.setAttribute("aria-label", "The glyph: nothing yet");
      write(this.verdict, "Draw a digit to see what the network makes of it.");
      return;
    }
    if (digit.glyph) {
      paint(this.glyph, digit.glyph, (level) => [255 - level, 255 - level, 255 - level]);
      this.glyph.setAttribute("aria-label", `The glyph that was read as ${digit.digit}`);
    }
    const said = digit.accepted
      ? [`Read as ${digit.digit}, ${percent(digit.probability, 1)}.`]
      : [
          h("span", { class: "refusal" }, "Refused: it does not look enough like a digit."),
          ` The closest is ${digit.digit}.`,
        ];
    const text = [
      ...said,
      h(
        "span",
        { class: "muted" },
        digit.warnings.map((line) => ` ${line[0].toUpperCase()}${line.slice(1)}.`),
      ),
    ];
    const line = JSON.stringify([digit.digit, digit.accepted, percent(digit.probability, 1), digit.warnings]);
    if (line !== this.line || !this.verdict.childElementCount) replace(this.verdict, text);
    this.line = line;
  }

  forget() {
    write(this.kept, "");
  }

  async keep(label) {
    try {
      const { file, kept } = await post("/api/digits", { glyph: this.digit.glyph, label });
      const folder = file.replace(/[\\/][^\\/]*[\\/][^\\/]*$/, "");
      replace(this.kept, `Kept as a ${label}: ${several(kept, "glyph")} of it now, in `, h("code", {}, folder));
      replace(
        this.lesson,
        h("button", { type: "button", onclick: () => this.teach(folder) }, "Teach it"),
        h("p", {}, "A new run: the shipped reader goes on learning, from these digits among MNIST's."),
      );
    } catch (error) {
      this.refused(error);
    }
  }

  async teach(folder) {
    try {
      const run = await post("/api/runs", { recipe: { base: "reader", start_from: "reader", data: folder } });
      location.hash = `#/learn/${encodeURIComponent(run.name)}`;
    } catch (error) {
      this.refused(error);
    }
  }

  refused(error) {
    replace(this.kept, h("span", { class: "refusal" }, error.message));
  }
}
