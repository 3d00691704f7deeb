// The curves of several runs over each other: val loss, and val accuracy below it.

import { accuracyAxis, epochAxis, lossAxis } from "../lib/axes.js";
import { loss, percent } from "../lib/format.js";
import { curveOf, runLook } from "../lib/plot.js";

export function drawOverlay(names, histories, width, em) {
  const curves = (key, written) =>
    names.map((name, index) => {
      const told = (row) => `${name}, epoch ${row.epoch}: ${written(row[key])}`;
      const drawn = curveOf(histories.get(name) ?? [], (row) => row.epoch, key, told, runLook(index));
      return drawn.x.length > 30 ? { ...drawn, mark: null } : drawn;
    });
  const [losses, accuracies] = [curves("val_loss", loss), curves("val_accuracy", percent)];
  const of = (drawn) => drawn.flatMap(({ y }) => y);
  return {
    x: epochAxis(Math.max(1, ...names.map((name) => histories.get(name)?.at(-1)?.epoch ?? 1)), width / em),
    title: "epoch",
    panels: [
      {
        bottom: 0.42,
        top: 1,
        names: ["val loss (nats, mean over images)", "val loss (nats)", "val loss"],
        axis: lossAxis(of(losses), 3),
        curves: losses,
      },
      {
        bottom: 0,
        top: 0.32,
        names: ["val accuracy, the errors on a log scale", "accuracy (log)", "accuracy"],
        axis: accuracyAxis(of(accuracies)),
        curves: accuracies,
      },
    ],
  };
}
