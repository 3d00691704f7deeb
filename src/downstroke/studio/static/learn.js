// Learn: choose a recipe, train, watch, decide.

import { get } from "./api.js";
import { h, replace } from "./dom.js";
import { several } from "./format.js";
import { readOnly, recipeForm } from "./recipe-form.js";
import { RunPanel } from "./run-panel.js";
import { chip, fetchRuns, told, unknown, watchRuns } from "./runs.js";

const FIVE = [
  ["y = f(W, x)", "the network reads a batch of images"],
  ["L = criterion(y, labels)", "how wrong it is: the loss"],
  ["dL/dW", "backpropagation: what each weight has to do with it"],
  ["W = W − lr · dL/dW", "a small step downwards; then the next batch"],
  ["val loss", "after each epoch, on images that it never learns from: continue, or stop"],
];

export async function show(root, names, signal) {
  const [{ runs, read_only: onlyReads }, recipes] = await Promise.all([fetchRuns(signal), get("/api/recipes", signal)]);
  const name = names[0] ?? runs[0]?.name ?? null;
  const list = h("ul", { class: "runs-list" });
  const queue = h("p", { class: "muted small" });
  const place = h("div", { class: "stack" });
  let look = () => {};

  const made = (run) => {
    location.hash = `#/learn/${encodeURIComponent(run.name)}`;
  };
  root.append(
    h(
      "div",
      { class: "lead" },
      h(
        "div",
        {},
        h("h1", {}, "Learn"),
        h("p", {}, "Train a network on handwritten digits, and watch the loss decide when to stop."),
      ),
    ),
    h(
      "div",
      { class: "learn-columns" },
      place,
      h(
        "div",
        { class: "stack" },
        h(
          "section",
          { class: "card", "aria-labelledby": "train-title" },
          h("h2", { id: "train-title" }, "Train"),
          onlyReads ? readOnly() : recipeForm(recipes, made),
        ),
        h(
          "section",
          { class: "card", "aria-labelledby": "runs-title" },
          h("h2", { id: "runs-title" }, "Runs"),
          queue,
          list,
        ),
      ),
    ),
  );

  let missing = name === null;
  if (missing) replace(place, welcome(onlyReads));
  else {
    const panel = new RunPanel(name, onlyReads, signal, () => look());
    try {
      await panel.open();
      replace(place, panel.node);
    } catch (error) {
      if (error.status !== 404) throw error;
      missing = true;
      replace(place, unknown(name));
    }
  }

  let before = "";
  const onRuns = ({ runs: now, queue: { waiting } }) => {
    const text = JSON.stringify([now, waiting]);
    if (text === before) return;
    before = text;
    const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    replace(
      list,
      now.map((run) => entry(run, run.name === name)),
    );
    if (focused) list.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
    queue.hidden = now.length > 0 && !waiting.length;
    queue.textContent = now.length ? `${several(waiting.length, "training")} waiting` : "None yet.";
    // A run may be made elsewhere: in a terminal, or in another tab.
    if (missing && now.some((run) => name === null || run.name === name))
      dispatchEvent(new HashChangeEvent("hashchange"));
  };
  onRuns({ runs, queue: { waiting: [] } });
  look = watchRuns(onRuns, signal);
}

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
        ? "When a run is trained, it is shown here."
        : "Choose a recipe and press Train. This is what will happen, over and over:",
    ),
    h(
      "ol",
      { class: "five" },
      FIVE.map(([code, what]) => h("li", {}, h("code", {}, code), h("span", {}, what))),
    ),
    h("p", {}, "No run is needed to ", h("a", { href: "#/read" }, "draw a digit and have it read"), "."),
  );
