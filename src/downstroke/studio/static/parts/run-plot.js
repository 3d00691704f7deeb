// The curves of one run: loss, accuracy and lr below each other, on one epoch axis.

import { accuracyAxis, epochAxis, linearAxis, lossAxis } from "../lib/axes.js";
import { loss, number, percent } from "../lib/format.js";
import { curveOf } from "../lib/plot.js";

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

// Whether the loss of a batch includes label smoothing.
export const smoothed = ({ recipe_fields: fields }) => fields.label_smoothing > 0;

// The epochs that are in sight: all that are wanted, but of a long training that has just begun the first few.
function horizon(run, done) {
  let last = 5;
  while (last < 1.25 * done) last *= 2;
  return Math.max(Math.min(last, run.target_epochs), Math.ceil(done), 1);
}

export function drawRun({ run, epochs, steps, ...panel }, width, em) {
  const perEpoch = panel.detail.steps_per_epoch ?? 1; // a run that waits has no steps yet
  const last = horizon(run, Math.max(epochs.at(-1)?.epoch ?? 0, (steps.at(-1)?.step ?? 0) / perEpoch));
  const batch = finite(steps, "batch_loss");
  const [batchX, batchY] = thinned(
    batch.map((row) => row.step / perEpoch),
    batch.map((row) => row.batch_loss),
    width / 3,
  );
  const batchCurve = { x: batchX, y: batchY, colour: "var(--batch)", width: 1.1 };
  const apart = smoothed(panel.detail); // another quantity than the loss of val and train: a panel of its own
  const mark = epochs.length > 30 ? null : "circle";
  const curve = (key, name, written, look) => {
    const told = (row) => `epoch ${row.epoch}: ${name} ${written(row[key])}`;
    return curveOf(epochs, (row) => row.epoch, key, told, look);
  };
  const valLook = { colour: "var(--val)", mark };
  const trainLook = { colour: "var(--train)", width: 1.8, dash: "6 3", mark: mark && "square", hollow: "var(--card)" };
  const [train, val] = [curve("loss", "train", loss, trainLook), curve("val_loss", "val", loss, valLook)];
  const accuracies = [
    curve("accuracy", "train", percent, trainLook),
    curve("val_accuracy", "val", percent, valLook),
  ];
  const lr = curveOf(
    steps,
    (row) => row.step / perEpoch,
    "lr",
    (row) => `step ${row.step}: lr ${number(row.lr)}`,
    { colour: "var(--ink)", width: 1.4 },
  );
  const lrTop = lr.y.reduce((largest, value) => Math.max(largest, value), 0) || 1;
  const best = finite(epochs, "val_loss").find((row) => row.epoch === run.best_epoch);
  return {
    x: epochAxis(last, width / em),
    title: "epoch",
    rules: best ? [best.epoch] : [],
    panels: [
      {
        bottom: apart ? 0.61 : 0.47,
        top: 1,
        names: ["loss (nats, mean over images)", "loss (nats)"],
        axis: lossAxis([...val.y, ...train.y, ...(apart ? [] : batchY)]),
        areas: gap(run, epochs),
        curves: [...(apart ? [] : [batchCurve]), train, val, ...(best ? [ring(best)] : [])],
      },
      apart && {
        bottom: 0.44,
        top: 0.53,
        names: ["batch loss, with smoothed labels (nats)", "batch loss"],
        axis: lossAxis(batchY, 10, 3),
        curves: [batchCurve],
      },
      {
        bottom: 0.19,
        top: apart ? 0.36 : 0.38,
        names: ["accuracy, the errors on a log scale", "accuracy (log)", "accuracy"],
        axis: accuracyAxis(accuracies.flatMap(({ y }) => y)),
        curves: accuracies,
      },
      {
        bottom: 0,
        top: 0.1,
        names: ["lr"],
        axis: { ...linearAxis(0, 1.3 * lrTop), ticks: lr.y.length ? [lrTop] : [], words: [number(lrTop)] },
        curves: [lr],
      },
    ].filter(Boolean),
  };
}

// From the best epoch on, where the advice says that it overfits: between train and val.
function gap(run, epochs) {
  if (run.advice?.verdict !== "overfitting") return [];
  const rows = finite(finite(epochs, "loss"), "val_loss").filter((row) => row.epoch >= run.best_epoch);
  const of = (key) => rows.map((row) => row[key]);
  return [{ x: of("epoch"), low: of("loss"), high: of("val_loss") }];
}

const ring = ({ epoch, val_loss: value }) => ({
  x: [epoch],
  y: [value],
  colour: "var(--ink)",
  mark: "circle",
  size: 7.5,
  hollow: "none",
});
