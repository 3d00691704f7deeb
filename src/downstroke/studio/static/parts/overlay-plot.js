// The curves of several runs over each other: val loss, and val accuracy below it.

import { loss, percent } from "../lib/format.js";
import { accuracyAxis, lossAxis, panelName, runLook } from "../lib/plot.js";

export function drawOverlay(names, histories, c) {
  const drawn = names.map((name, index) => [name, histories.get(name) ?? [], runLook(index, c)]);
  const of = (key) => drawn.flatMap(([, rows]) => rows.map((row) => row[key])).filter(Number.isFinite);
  const accuracy = accuracyAxis(of("val_accuracy"));
  const last = Math.max(1, ...drawn.map(([, rows]) => rows.at(-1)?.epoch ?? 1));
  const line = (name, rows, look, key, told, place, yaxis) => {
    const known = rows.filter((row) => Number.isFinite(row[key]));
    return {
      x: known.map((row) => row.epoch),
      y: known.map((row) => place(row[key])),
      customdata: known.map((row) => told(row[key])),
      hovertemplate: `${name}, epoch %{x}: %{customdata}<extra></extra>`,
      mode: known.length > 30 ? "lines" : "lines+markers",
      line: { color: look.color, width: 2.2, dash: look.dash },
      marker: { color: look.color, size: 7, symbol: look.symbol },
      yaxis,
    };
  };
  return {
    data: drawn.flatMap(([name, rows, look]) => {
      const safe = name.replaceAll("<", "&lt;");
      return [
        line(safe, rows, look, "val_loss", loss, (value) => value, "y"),
        line(safe, rows, look, "val_accuracy", percent, accuracy.place, "y2"),
      ];
    }),
    layout: {
      xaxis: {
        range: [0, last * 1.02],
        tickformat: "d",
        nticks: 10,
        dtick: last <= 10 ? 1 : undefined,
        anchor: "y2",
        title: { text: "epoch", standoff: 10 },
      },
      yaxis: { domain: [0.42, 1], ...lossAxis(of("val_loss"), 3) },
      yaxis2: { domain: [0, 0.32], ...accuracy.axis },
      annotations: [
        panelName(["val loss (nats, mean over images)", "val loss (nats)", "val loss"], 1, c),
        panelName(["val accuracy, the errors on a log scale", "accuracy (log)", "accuracy"], 0.325, c),
      ],
    },
  };
}
