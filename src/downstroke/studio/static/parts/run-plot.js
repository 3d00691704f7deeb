// The curves of one run: loss, accuracy and lr below each other, on one epoch axis.

import { accuracyAxis, lossAxis, panelName } from "../lib/plot.js";
import { loss, number, percent } from "../lib/format.js";

const finite = (rows, key) => rows.filter((row) => Number.isFinite(row[key]));

// Means of neighbouring steps: no more of them than a picture can show.
function thinned(xs, ys, most) {
  const every = Math.ceil(xs.length / most);
  if (every <= 1) return [xs, ys];
  const x = [];
  const y = [];
  for (let start = 0; start < xs.length; start += every) {
    const end = Math.min(start + every, xs.length);
    x.push((xs[start] + xs[end - 1]) / 2);
    y.push(ys.slice(start, end).reduce((sum, value) => sum + value, 0) / (end - start));
  }
  return [x, y];
}

function stepsPerEpoch({ environment, recipe_fields: fields }, epochs) {
  if (epochs.length) return epochs[0].step / epochs[0].epoch;
  return Math.ceil((environment.data?.train ?? 60000) / (fields.batch_size ?? 128));
}

// Whether the loss of a batch includes label smoothing.
export const smoothed = ({ recipe_fields: fields }) => fields.label_smoothing > 0;

// The epochs that are in sight: all that are wanted, but of a long training that has just begun the first few.
function horizon(run, done) {
  let last = 5;
  while (last < 1.25 * done) last *= 2;
  return Math.max(Math.min(last, run.target_epochs), Math.ceil(done), 1);
}

export function drawRun({ run, progress, epochs, steps, ...panel }, c, width) {
  const perEpoch = progress?.steps_per_epoch ?? stepsPerEpoch(panel.detail, epochs);
  const last = horizon(run, Math.max(epochs.at(-1)?.epoch ?? 0, (steps.at(-1)?.step ?? 0) / perEpoch));
  const val = finite(epochs, "val_loss");
  const train = finite(epochs, "loss");
  const batch = finite(steps, "batch_loss");
  const [batchX, batchY] = thinned(
    batch.map((row) => row.step / perEpoch),
    batch.map((row) => row.batch_loss),
    width / 3,
  );
  const lrRows = finite(steps, "lr");
  const apart = smoothed(panel.detail); // another quantity than the loss of val and train: a panel of its own
  const within = apart ? [] : batchY;
  const axis = lossAxis([...val.map((row) => row.val_loss), ...train.map((row) => row.loss), ...within]);
  const accuracies = [
    ...finite(epochs, "accuracy").map((row) => row.accuracy),
    ...finite(epochs, "val_accuracy").map((row) => row.val_accuracy),
  ];
  const accuracy = accuracyAxis(accuracies);
  const marks = epochs.length > 30 ? "lines" : "lines+markers";

  const line = (rows, key, look, extra = {}) => ({
    x: rows.map((row) => row.epoch),
    y: rows.map((row) => row[key]),
    mode: marks,
    ...look,
    ...extra,
  });
  const valLook = { line: { color: c.val, width: 2.2 }, marker: { color: c.val, size: 7 } };
  const trainLook = {
    line: { color: c.train, width: 1.8, dash: "6px,3px" },
    marker: { color: c.card, size: 6.5, symbol: "square", line: { color: c.train, width: 1.6 } },
  };
  const place = (rows, key) => rows.map((row) => accuracy.place(row[key]));
  const shares = (rows, key) => rows.map((row) => percent(row[key]));
  const data = [
    {
      x: batchX,
      y: batchY,
      mode: "lines",
      line: { color: c.batch, width: 1.1 },
      hoverinfo: "skip",
      yaxis: apart ? "y4" : "y",
    },
    ...gap(panel, run, epochs, c),
    line(train, "loss", trainLook, {
      customdata: train.map((row) => loss(row.loss)),
      hovertemplate: "epoch %{x}: train %{customdata}<extra></extra>",
    }),
    line(val, "val_loss", valLook, {
      customdata: val.map((row) => loss(row.val_loss)),
      hovertemplate: "epoch %{x}: val %{customdata}<extra></extra>",
    }),
    line(finite(epochs, "accuracy"), "accuracy", trainLook, {
      y: place(finite(epochs, "accuracy"), "accuracy"),
      yaxis: "y2",
      customdata: shares(finite(epochs, "accuracy"), "accuracy"),
      hovertemplate: "epoch %{x}: train %{customdata}<extra></extra>",
    }),
    line(finite(epochs, "val_accuracy"), "val_accuracy", valLook, {
      y: place(finite(epochs, "val_accuracy"), "val_accuracy"),
      yaxis: "y2",
      customdata: shares(finite(epochs, "val_accuracy"), "val_accuracy"),
      hovertemplate: "epoch %{x}: val %{customdata}<extra></extra>",
    }),
    {
      x: lrRows.map((row) => row.step / perEpoch),
      y: lrRows.map((row) => row.lr),
      mode: "lines",
      yaxis: "y3",
      line: { color: c.ink, width: 1.4 },
      customdata: lrRows.map((row) => [row.step, number(row.lr)]),
      hovertemplate: "step %{customdata[0]}: lr %{customdata[1]}<extra></extra>",
    },
  ];
  const best = val.find((row) => row.epoch === run.best_epoch);
  if (best) data.push(ring(best, c));
  const lrs = lrRows.map((row) => row.lr);
  const lrTop = Math.max(...lrs, 0) || 1;
  return {
    data,
    layout: {
      xaxis: {
        range: [0, last * 1.02],
        nticks: Math.min(11, Math.ceil(width / 60)),
        tickformat: "d",
        dtick: last <= 10 ? 1 : undefined,
        anchor: "y3",
        title: { text: "epoch", standoff: 10 },
      },
      yaxis: { domain: [apart ? 0.61 : 0.47, 1], ...axis },
      ...(apart ? { yaxis4: { domain: [0.44, 0.53], ...lossAxis(batchY), nticks: 3 } } : {}),
      yaxis2: { domain: [0.19, apart ? 0.36 : 0.38], ...accuracy.axis },
      yaxis3: {
        domain: [0, 0.1],
        range: [0, 1.3 * lrTop],
        tickvals: lrs.length ? [lrTop] : [],
        ticktext: [number(lrTop)],
      },
      annotations: [
        panelName(["loss (nats, mean over images)", "loss (nats)"], 1, c),
        ...(apart ? [panelName(["batch loss, with smoothed labels (nats)", "batch loss"], 0.535, c)] : []),
        panelName(["accuracy, the errors on a log scale", "accuracy (log)", "accuracy"], apart ? 0.365 : 0.385, c),
        panelName(["lr"], 0.105, c),
      ],
      shapes: best
        ? [
            {
              type: "line",
              xref: "x",
              yref: "paper",
              x0: best.epoch,
              x1: best.epoch,
              y0: 0,
              y1: 1,
              line: { color: c.muted, width: 1, dash: "dot" },
              layer: "below",
            },
          ]
        : [],
    },
  };
}

// From the best epoch on, where the advice says that it overfits: between train and val.
function gap(panel, run, epochs, c) {
  if (run.advice?.verdict !== "overfitting") return [];
  const rows = epochs.filter(
    (row) => row.epoch >= run.best_epoch && Number.isFinite(row.loss) && Number.isFinite(row.val_loss),
  );
  const edge = (key, fill) => ({
    x: rows.map((row) => row.epoch),
    y: rows.map((row) => row[key]),
    mode: "lines",
    line: { width: 0 },
    hoverinfo: "skip",
    ...fill,
  });
  return [edge("loss", {}), edge("val_loss", { fill: "tonexty", fillcolor: c.shade })];
}

const ring = (best, c) => ({
  x: [best.epoch],
  y: [best.val_loss],
  mode: "markers",
  marker: { symbol: "circle-open", size: 15, color: c.ink, line: { width: 1.5 } },
  hoverinfo: "skip",
  cliponaxis: false,
});
