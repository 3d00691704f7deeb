// How runs are named in a line, and how one of them is chosen.

import { fresh, h, replace, write } from "../lib/dom.js";
import { loss, percent, several } from "../lib/format.js";

export const chip = (state) => h("span", { class: `chip ${state}` }, state);

// In one line: what is known of a run.
export function told(run) {
  if (run.state === "failed") return run.error ?? "failed";
  if (run.state === "queued" && !run.epochs) return `${run.recipe}, waiting for its turn`;
  if (!run.epochs) return `${run.recipe}, no epoch finished yet`;
  const parts = [run.recipe, several(run.epochs, "epoch")];
  if (run.val_loss !== null) parts.push(`val loss ${loss(run.val_loss)}`);
  if (run.val_accuracy !== null) parts.push(percent(run.val_accuracy));
  return parts.join(" · ");
}

// The run that the address names, else the newest that was trained; null where there is none.
export function chosen(runs, names) {
  const trained = runs.filter((run) => run.epochs > 0 || run.steps > 0);
  return trained.find((run) => run.name === names[0]) ?? (names[0] ? null : (trained[0] ?? null));
}

// A labelled choice of one run. Going to another run is an address of its own; `first` is what stands above the runs.
export class Picker {
  constructor(label, name, view, first = null) {
    Object.assign(this, { name, first });
    const id = fresh("run");
    this.select = h("select", {
      id,
      onchange: ({ target }) => (location.hash = `#/${view}${target.value && `/${encodeURIComponent(target.value)}`}`),
    });
    this.node = h("div", { class: "picker" }, h("label", { for: id }, label), this.select);
  }

  // An open list is left alone where only its words have changed.
  show(runs) {
    const entries = [
      ...(this.first ? [["", this.first]] : []),
      ...runs.map((run) => [run.name, `${run.name} (${told(run)})`]),
    ];
    const options = [...this.select.options];
    if (entries.length === options.length && entries.every(([value], index) => value === options[index].value))
      entries.forEach(([, text], index) => write(options[index], text));
    else
      replace(
        this.select,
        entries.map(([value, text]) => h("option", { value, selected: value === this.name }, text)),
      );
  }
}
