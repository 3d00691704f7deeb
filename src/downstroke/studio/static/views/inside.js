// Look inside: the current weights, the gradient and its noise, and what one step does to one image.

import { get, runPath } from "../lib/api.js";
import { h, replace, say, write } from "../lib/dom.js";
import { lead, nothing, unknown } from "../parts/layout.js";
import { OneImage } from "../parts/one-image.js";
import { chosen, Picker } from "../parts/runs.js";
import { Weights } from "../parts/weights.js";

let leaving, page;

export async function mount(root, names, { runs }) {
  leaving = new AbortController();
  const run = chosen(runs, names);
  page = run && new Page(run, leaving.signal);
  root.append(
    lead("Look inside", "The current weights: what they look at, how they move, and what one step does.", page?.picker.node),
    page?.node ?? (names[0] ? unknown(names[0]) : nothing("There are no weights to look into.")),
  );
}

export function update({ runs }) {
  page?.show(runs.filter(({ steps }) => steps > 0));
}

export const unmount = () => leaving.abort();

class Page {
  constructor({ name }, signal) {
    Object.assign(this, { name, signal });
    this.seen = null; // epochs
    this.looking = false;
    this.picker = new Picker("Run", name, "inside");
    this.at = h("p", { class: "muted small", role: "status" }, `Looking into the weights of ${name}…`);
    this.weights = new Weights(signal);
    this.image = new OneImage(name, signal);
    this.node = h("div", { class: "stack" }, this.at, this.image.node, this.weights.node);
  }

  // A run that has trained on since is looked into again.
  show(runs) {
    this.picker.show(runs);
    const epochs = runs.find(({ name }) => name === this.name)?.epochs;
    if (this.looking || epochs === this.seen) return;
    this.image.look();
    this.look(this.seen !== null);
    this.seen = epochs;
  }

  async look(again) {
    this.looking = true;
    try {
      const found = await get(runPath(this.name, "/inspect"), this.signal);
      this.weights.show(found);
      const step = found.step.toLocaleString("en");
      write(
        this.at,
        `The weights of ${this.name} after epoch ${found.epoch}, step ${step}. While it trains, this follows each checkpoint.`,
      );
      if (again) say(`weights of epoch ${found.epoch}`);
    } catch (error) {
      if (!this.signal.aborted) replace(this.at, h("span", { class: "problem" }, error.message));
    }
    this.looking = false;
  }
}
