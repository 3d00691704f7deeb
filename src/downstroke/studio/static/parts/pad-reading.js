// The pad and its reading. At most one request is under way; what is drawn meanwhile is read by the next.

import { post } from "../lib/api.js";
import { h, replace, say, write } from "../lib/dom.js";
import { card } from "./layout.js";
import { Pad } from "./pad.js";

export class PadReading {
  constructor(panel, run, signal) {
    Object.assign(this, { panel, run, signal });
    this.chosen = null; // which digit is looked at; null follows the pen
    this.digits = [];
    this.reading = false;
    this.stale = false;
    this.pad = new Pad(() => this.changed(), say, signal);
    this.result = h("div", { class: "reading", role: "group", "aria-label": "Reading of the pad" });
    this.latency = h("span", { class: "muted small" });
    this.spoken = h("p", { class: "unseen", "aria-live": "polite" });
    this.node = card(
      "pad-title",
      "Pad",
      "stack",
      this.pad.canvas,
      this.result,
      h(
        "div",
        { class: "pad-tools" },
        h("button", { type: "button", onclick: () => this.pad.undo() }, "Undo"),
        h("button", { type: "button", onclick: () => this.pad.clear() }, "Clear"),
        this.latency,
      ),
      this.spoken,
      h(
        "p",
        { class: "muted small pad-keys", id: "pad-keys" },
        "By keyboard: arrows move the pen, ",
        h("kbd", {}, "Space"),
        " puts it down and lifts it, ",
        h("kbd", {}, "Backspace"),
        " removes the last stroke, ",
        h("kbd", {}, "Delete"),
        " all. ",
        h("kbd", {}, "Shift"),
        " moves it faster.",
      ),
    );
    this.show([], null);
  }

  changed() {
    this.stale = true;
    if (this.pad.strokes.length <= 1) this.chosen = null;
    this.panel.forget();
    this.read();
  }

  async read() {
    if (this.reading) return;
    this.reading = true;
    while (this.stale && !this.signal.aborted) {
      this.stale = false;
      await this.readOnce();
    }
    this.reading = false;
  }

  async readOnce() {
    if (this.pad.empty) {
      this.show([], null);
      return;
    }
    const began = performance.now();
    const asked = { images: [{ name: "pad", data: this.pad.picture() }], explain: true };
    if (this.run) asked.run = this.run;
    try {
      const {
        readings: [found],
      } = await post("/api/read", asked, this.signal);
      if (this.pad.empty) return;
      this.show(
        found.lines.flatMap(({ digits }) => digits),
        found.error,
        found.lines.map(({ text }) => text),
      );
      write(this.latency, `read in ${Math.max(1, Math.round(performance.now() - began))} ms`);
    } catch (error) {
      if (!this.signal.aborted) this.show([], error.message);
    }
  }

  show(digits, problem, lines = []) {
    this.digits = digits;
    if (!digits.length) {
      const words = problem ? "No digit yet: keep drawing." : "Draw a digit, or several side by side.";
      replace(
        this.result,
        h("p", { class: "muted" }, problem && !/no digit|blank|nothing/i.test(problem) ? problem : words),
      );
      write(this.latency, "");
      write(this.spoken, "");
      this.buttons = [];
      this.panel.show(null);
      return;
    }
    if (this.buttons.length !== digits.length) {
      this.buttons = digits.map((_, index) => h("button", { type: "button", onclick: () => this.choose(index) }));
      replace(this.result, this.buttons);
    }
    const at = this.chosen !== null && this.chosen < digits.length ? this.chosen : digits.length - 1;
    digits.forEach((digit, index) => {
      const button = this.buttons[index];
      write(button, String(digit.digit));
      button.classList.toggle("refused", !digit.accepted);
      button.setAttribute("aria-pressed", String(index === at));
      button.setAttribute("aria-label", `${digit.digit}${digit.accepted ? "" : ", refused"}: show its probabilities`);
    });
    this.panel.show(digits[at]);
    const refused = digits.filter(({ accepted }) => !accepted).length;
    write(this.spoken, `Read: ${lines.join(", then ")}${refused ? `; ${refused} refused` : ""}`);
  }

  choose(index) {
    this.chosen = index;
    this.panel.forget();
    this.show(this.digits, null, [this.digits.map(({ digit }) => digit).join("")]);
  }
}
