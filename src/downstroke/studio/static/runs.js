// The runs that there are: asked for again now and then, as a terminal may train one too.

import { get } from "./api.js";
import { fresh, h } from "./dom.js";
import { loss, percent, several } from "./format.js";

export const fetchRuns = (signal) => get("/api/runs", signal);

export const chip = (state) => h("span", { class: `chip ${state}` }, state);

// In one line: what is known of a run.
export function told(run) {
  if (run.state === "failed") return run.error ?? "failed";
  if (run.state === "queued" && !run.epochs) return `${run.recipe}, waits for its turn`;
  if (!run.epochs) return `${run.recipe}, no epoch finished yet`;
  const parts = [run.recipe, several(run.epochs, "epoch")];
  if (run.val_loss !== null) parts.push(`val loss ${loss(run.val_loss)}`);
  if (run.val_accuracy !== null) parts.push(percent(run.val_accuracy));
  return parts.join(" · ");
}

// Calls `onRuns` at once and every few seconds until `signal` says enough; not while nobody looks.
export function watchRuns(onRuns, signal, seconds = 2.5) {
  let timer = null;
  const look = async () => {
    clearTimeout(timer);
    if (signal.aborted) return;
    try {
      if (!document.hidden) onRuns(await fetchRuns(signal));
    } catch {
      // the banner has said that the studio does not answer
    }
    if (!signal.aborted) timer = setTimeout(look, 1000 * seconds);
  };
  look();
  document.addEventListener("visibilitychange", look, { signal });
  return look;
}

// A labelled choice of one run; going to another is an address of its own.
export function picker(runs, name, view) {
  const id = fresh("run");
  const options = runs.map((run) =>
    h("option", { value: run.name, selected: run.name === name }, `${run.name} (${told(run)})`),
  );
  const choose = (event) => (location.hash = `#/${view}/${encodeURIComponent(event.target.value)}`);
  return h("div", { class: "picker" }, h("label", { for: id }, "Run"), h("select", { id, onchange: choose }, options));
}

// Where there is no run that could be shown.
export const nothing = (what) =>
  h(
    "div",
    { class: "card empty" },
    h("h2", {}, "There is no run yet"),
    h("p", {}, `${what} A run is made by training: three epochs are a good start.`),
    h("a", { class: "button", href: "#/learn" }, "Go to Learn"),
  );

// The run that the address names, else the newest with an epoch; null where there is none.
export function chosen(runs, names) {
  const trained = runs.filter((run) => run.epochs > 0 || run.steps > 0);
  return trained.find((run) => run.name === names[0]) ?? (names[0] ? null : (trained[0] ?? null));
}

export const unknown = (name) =>
  h(
    "div",
    { class: "card empty" },
    h("h2", {}, `There is no trained run “${name}” here`),
    h("p", {}, "It may have been deleted, or it has not trained a step yet."),
    h("a", { class: "button", href: "#/learn" }, "See the runs"),
  );

export const figure = (name, value = "–") => {
  const dd = h("dd", {}, value);
  return { node: h("div", {}, h("dt", {}, name), dd), dd };
};
