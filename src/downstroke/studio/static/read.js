// Draw and read: a pad that is read while one draws, and pictures that are read when they arrive.

import { get, post, runPath } from "./api.js";
import { DigitPanel } from "./digit.js";
import { h, replace, say, write } from "./dom.js";
import { Pad } from "./pad.js";
import { fetchRuns, told } from "./runs.js";
import { Pictures } from "./pictures.js";

const SHIPPED = "";

export async function show(root, names, signal) {
  const { runs, read_only: onlyReads } = await fetchRuns(signal);
  const trained = runs.filter(({ steps, epochs }) => steps > 0 && epochs > 0);
  const run = trained.find(({ name }) => name === names[0])?.name ?? SHIPPED;
  const panel = new DigitPanel(onlyReads);
  const reading = new PadReading(panel, run, signal);
  const pictures = new Pictures(panel, run, signal);
  if (run) await get(runPath(run), signal).then(({ environment }) => panel.setClasses(environment.data.classes));

  const choose = (event) =>
    (location.hash = event.target.value ? `#/read/${encodeURIComponent(event.target.value)}` : "#/read");
  const reader = h(
    "select",
    { id: "reader", onchange: choose },
    h("option", { value: SHIPPED, selected: run === SHIPPED }, "the shipped reader"),
    trained.map((one) => h("option", { value: one.name, selected: one.name === run }, `${one.name} (${told(one)})`)),
  );
  root.append(
    h(
      "div",
      { class: "lead" },
      h(
        "div",
        {},
        h("h1", {}, "Draw and read"),
        h("p", {}, "Draw digits, or give a picture of some. The probabilities move as you draw."),
      ),
      h("div", { class: "picker" }, h("label", { for: "reader" }, "Reader"), reader),
    ),
    h("div", { class: "read-columns" }, reading.node, panel.node, pictures.node),
  );
  if (run) root.querySelector(".lead p").append(" A run has not learned to refuse: it finds a digit in everything.");
}

// The pad and its reading. At most one request is under way; what is drawn meanwhile is read by the next.
class PadReading {
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
    this.node = h(
      "section",
      { class: "card stack", "aria-labelledby": "pad-title" },
      h("h2", { id: "pad-title" }, "Pad"),
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
        " takes the last stroke away, ",
        h("kbd", {}, "Delete"),
        " all. ",
        h("kbd", {}, "Shift"),
        " goes faster.",
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
      const words = problem ? "No digit yet: draw on." : "Draw a digit, or several side by side.";
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
