// Draw and read: a pad that is read while one draws, and pictures that are read when they arrive.

import { get, runPath } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { DigitPanel } from "../parts/digit.js";
import { lead } from "../parts/layout.js";
import { PadReading } from "../parts/pad-reading.js";
import { Pictures } from "../parts/pictures.js";
import { Picker } from "../parts/runs.js";

const SHIPPED = "";

let leaving, picker;

export async function mount(root, names, { runs, read_only: onlyReads }) {
  leaving = new AbortController();
  const { signal } = leaving;
  const run = readable(runs).find(({ name }) => name === names[0])?.name ?? SHIPPED;
  picker = new Picker("Reader", run, "read", "the shipped reader");
  const panel = new DigitPanel(onlyReads);
  if (run) panel.setClasses((await get(runPath(run), signal)).environment.data.classes);
  root.append(
    lead(
      "Draw and read",
      "Draw digits, or add a picture of some. The probabilities move as you draw." +
        (run ? " A run has not learned to refuse: it finds a digit in everything." : ""),
      picker.node,
    ),
    h(
      "div",
      { class: "read-columns" },
      new PadReading(panel, run, signal).node,
      panel.node,
      new Pictures(panel, run, signal).node,
    ),
  );
}

export function update({ runs }) {
  picker.show(readable(runs));
}

export const unmount = () => leaving.abort();

const readable = (runs) => runs.filter(({ steps, epochs }) => steps > 0 && epochs > 0);
