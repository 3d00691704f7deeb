// Compare: curves overlaid, what differs between the recipes, and the paired comparison in words.

import { get, runPath } from "../lib/api.js";
import { fresh, h, replace, scroller, svg, table } from "../lib/dom.js";
import { loss, percent, several, words } from "../lib/format.js";
import { markPath, Plot, runLook } from "../lib/plot.js";
import { card, lead, nothing } from "../parts/layout.js";
import { drawOverlay } from "../parts/overlay-plot.js";
import { chip } from "../parts/runs.js";

let leaving, page;

export async function mount(root, names, { runs }) {
  leaving = new AbortController();
  page = null;
  root.append(
    lead(
      "Compare",
      "Tick two runs or more. They are compared on the same val images, pair by pair: is it more than chance?",
    ),
  );
  if (!trained(runs).length) {
    root.append(nothing("Runs are compared once they have finished an epoch."));
    return;
  }
  page = new Page(names, leaving.signal);
  root.append(page.node);
}

export function update({ runs }) {
  page?.show(trained(runs));
}

export const unmount = () => leaving.abort();

const trained = (runs) => runs.filter((run) => run.epochs > 0);
const muted = (text) => h("p", { class: "muted" }, text);

class Page {
  constructor(names, signal) {
    Object.assign(this, { signal, wanted: names });
    this.ticked = null; // names in the order in which they were ticked
    this.runs = [];
    this.histories = new Map(); // name -> epochs
    this.asked = 0;
    this.rows = h("tbody", {});
    this.legend = h("ul", { class: "legend", "aria-label": "Curves" });
    this.hint = muted("Tick a run to see its curves here.");
    this.drawing = h("div", { class: "plot plot-overlay", role: "img", "aria-label": "No run is ticked" });
    this.plot = new Plot(this.drawing, (width, em) => drawOverlay(this.ticked, this.histories, width, em), signal);
    this.sentences = h("div", { class: "sentences", "aria-live": "polite" });
    this.differences = h("div", {});
    this.node = h(
      "div",
      { class: "stack" },
      card("which", "Runs", "", scroller("Runs to compare", choices(this.rows))),
      card("curves", "Curves", "stack", this.legend, this.hint, this.drawing),
      h(
        "div",
        { class: "two" },
        card("better", "Which is better", "", this.sentences),
        card("differs", "What differs", "", this.differences),
      ),
    );
  }

  // The runs as they are now: those that are being trained get longer curves.
  show(runs) {
    const first = this.ticked === null;
    this.ticked ??= this.wanted.filter((name) => runs.some((run) => run.name === name));
    const changed = runs.filter((run) => !this.runs.some((old) => JSON.stringify(old) === JSON.stringify(run)));
    if (changed.length || runs.length !== this.runs.length) this.showRows(runs);
    this.runs = runs;
    for (const { name } of changed) this.histories.delete(name);
    if (first) this.compare();
    else if (changed.some(({ name }) => this.ticked.includes(name))) this.showCurves();
  }

  showRows(runs) {
    const focused = this.rows.contains(document.activeElement) ? document.activeElement.value : null;
    replace(
      this.rows,
      runs.map((run) => this.row(run)),
    );
    if (focused) this.rows.querySelector(`input[value="${CSS.escape(focused)}"]`)?.focus();
  }

  row(run) {
    const id = fresh("tick");
    const box = h("input", {
      type: "checkbox",
      id,
      value: run.name,
      checked: this.ticked.includes(run.name),
      onchange: ({ target }) => this.tick(target.value, target.checked),
    });
    const cells = [run.recipe, String(run.epochs), loss(run.val_loss), percent(run.val_accuracy), chip(run.state)];
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, h("span", { class: "tick" }, box, h("label", { for: id }, run.name))),
      cells.map((cell) => h("td", {}, cell)),
    );
  }

  tick(name, on) {
    if (on) this.ticked.push(name);
    else this.ticked.splice(this.ticked.indexOf(name), 1);
    history.replaceState(null, "", `#/compare/${this.ticked.map(encodeURIComponent).join("/")}`);
    this.compare();
  }

  async compare() {
    const mine = (this.asked += 1);
    const { ticked, signal } = this;
    const few = ticked.length < 2;
    replace(this.legend, ticked.map(legendEntry));
    replace(
      this.sentences,
      muted(
        few
          ? "Tick two runs or more, to read here which is better."
          : "Each run is reading the val images; this takes a moment…",
      ),
    );
    replace(this.differences, muted(few ? "Tick two runs or more, to see here how their recipes differ." : "…"));
    await this.showCurves();
    if (few) return;
    const details = await Promise.all(ticked.map((name) => get(runPath(name), signal)));
    if (mine !== this.asked) return;
    replace(
      this.differences,
      differing(
        ticked,
        details.map((detail) => detail.recipe_fields),
      ),
    );
    const told = [];
    for (const [first, second] of pairs(ticked)) {
      told.push(await paired(first, second, signal));
      if (mine !== this.asked) return;
      replace(this.sentences, told);
    }
  }

  async showCurves() {
    const { ticked, histories } = this;
    for (const name of [...ticked])
      if (!histories.has(name)) histories.set(name, (await get(runPath(name, "/history"), this.signal)).epochs);
    this.drawing.setAttribute("aria-label", described(ticked, histories));
    this.hint.hidden = ticked.length > 0;
    this.drawing.hidden = ticked.length === 0;
    if (this.hint.hidden) this.plot.redraw();
  }
}

function choices(rows) {
  const head = ["run", "recipe", "epochs", "best val loss", "val accuracy", "state"];
  return h(
    "table",
    { class: "choices" },
    h("caption", { class: "unseen" }, "Runs to compare"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        head.map((name) => h("th", { scope: "col" }, name)),
      ),
    ),
    rows,
  );
}

// Every two of the names.
const pairs = (names) => names.flatMap((first, index) => names.slice(index + 1).map((second) => [first, second]));

async function paired(first, second, signal) {
  try {
    const found = await get(`/api/compare?a=${encodeURIComponent(first)}&b=${encodeURIComponent(second)}`, signal);
    // A sentence begins with a name, which keeps its letters, or with a word.
    const sentence = (text) => `${text.replace(/^(the|both) /, (word) => word[0].toUpperCase() + word.slice(1))}.`;
    return h(
      "div",
      {},
      found.words.map((text) => h("p", {}, sentence(text))),
    );
  } catch (error) {
    return h("p", { class: "problem" }, `${first} and ${second}: ${error.message}`);
  }
}

function differing(names, recipes) {
  const keys = Object.keys(recipes[0]).filter(
    (key) => key !== "name" && recipes.some((recipe) => recipe[key] !== recipes[0][key]),
  );
  if (!keys.length)
    return h("p", {}, "The recipes are the same; the runs differ at most in how long they were trained.");
  const rows = keys.map((key) => [
    words(key),
    ...recipes.map((recipe) => (recipe[key] === null ? "–" : String(recipe[key]))),
  ]);
  return scroller(
    "What differs between the recipes",
    table(`${several(keys.length, "field")} of the recipes`, ["field", ...names], rows, { class: "words" }),
  );
}

function legendEntry(name, index) {
  const { colour, dash, mark } = runLook(index);
  const sample = [
    svg("path", { d: "M0 7h28", fill: "none", stroke: colour, "stroke-width": "2.4", "stroke-dasharray": dash }),
    svg("path", { d: markPath(mark, 14, 7, 3.5), fill: colour }),
  ];
  return h("li", {}, svg("svg", { width: "28", height: "14", "aria-hidden": "true" }, sample), name);
}

const described = (names, histories) =>
  names.length
    ? `Val loss by epoch of ${several(names.length, "run")}: ` +
      names.map((name) => `${name}, at the end ${loss(histories.get(name)?.at(-1)?.val_loss)}`).join("; ")
    : "No run is ticked";
