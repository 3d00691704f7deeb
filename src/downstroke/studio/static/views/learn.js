// Learn: choose a recipe, train, watch, decide.

import { get } from "../lib/api.js";
import { h, replace } from "../lib/dom.js";
import { several } from "../lib/format.js";
import { card, lead, unknown } from "../parts/layout.js";
import { readOnly, recipeForm } from "../parts/recipe-form.js";
import { RunPanel } from "../parts/run-panel.js";
import { chip, told } from "../parts/runs.js";

const FIVE = [
  ["y = f(W, x)", "the network reads a batch of images"],
  ["L = criterion(y, labels)", "how wrong it is: the loss"],
  ["dL/dW", "backpropagation: how the loss changes with each weight"],
  ["W = W − lr · dL/dW", "a small step downhill; then the next batch"],
  ["val loss", "after each epoch, on images it never learns from: continue, or stop"],
];

let leaving, name, missing, list, queue, before;

export async function mount(root, names, { runs, read_only: onlyReads }, look) {
  leaving = new AbortController();
  const { signal } = leaving;
  const recipes = onlyReads ? null : await get("/api/recipes", signal);
  name = names[0] ?? runs[0]?.name ?? null;
  missing = name === null;
  before = "";
  list = h("ul", { class: "runs-list" });
  queue = h("p", { class: "muted small" });
  const made = (run) => (location.hash = `#/learn/${encodeURIComponent(run.name)}`);
  const form = onlyReads ? readOnly() : recipeForm(recipes, made);
  const place = h("div", { class: "stack" });
  root.append(
    lead("Learn", "Train a network on handwritten digits, and watch the loss tell you when to stop."),
    h(
      "div",
      { class: "learn-columns" },
      place,
      h("div", { class: "stack" }, card("train-title", "Train", "", form), card("runs-title", "Runs", "", queue, list)),
    ),
  );
  if (missing) {
    place.append(welcome(onlyReads));
    return;
  }
  const panel = new RunPanel(name, onlyReads, signal, look);
  try {
    await panel.open();
    place.append(panel.node);
  } catch (error) {
    if (error.status !== 404) throw error;
    missing = true;
    place.append(unknown(name));
  }
}

export function update({ runs, queue: { waiting } }) {
  const text = JSON.stringify([runs, waiting]);
  if (text === before) return;
  before = text;
  const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  replace(
    list,
    runs.map((run) => entry(run, run.name === name)),
  );
  if (focused) list.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
  queue.hidden = runs.length > 0 && !waiting.length;
  queue.textContent = runs.length ? `${several(waiting.length, "training")} waiting` : "None yet.";
  // A run may be made elsewhere: in a terminal, or in another tab.
  if (missing && runs.some((run) => name === null || run.name === name))
    dispatchEvent(new HashChangeEvent("hashchange"));
}

export const unmount = () => leaving.abort();

const entry = (run, here) =>
  h(
    "li",
    {},
    h(
      "a",
      { href: `#/learn/${encodeURIComponent(run.name)}`, "aria-current": here ? "true" : null },
      h("b", {}, run.name),
      chip(run.state),
      h("small", {}, told(run)),
    ),
  );

const welcome = (onlyReads) =>
  h(
    "section",
    { class: "card empty" },
    h("h2", {}, "Nothing has been trained here yet"),
    h(
      "p",
      {},
      onlyReads
        ? "Runs appear here as soon as one is trained."
        : "Choose a recipe and press Train. This is what will happen, over and over:",
    ),
    h(
      "ol",
      { class: "five" },
      FIVE.map(([code, what]) => h("li", {}, h("code", {}, code), h("span", {}, what))),
    ),
    h("p", {}, "You need no run to ", h("a", { href: "#/read" }, "draw a digit and have it read"), "."),
  );
