// One run: its state, its figures, its curve, the advice, and what can be done about it.

import { follow, get, post, runPath } from "../lib/api.js";
import { Plot } from "../lib/plot.js";
import { h, replace, say, scroller, svg, table, write } from "../lib/dom.js";
import { count, duration, loss, number, percent, several, words } from "../lib/format.js";
import { drawRun, smoothed } from "./run-plot.js";
import { figure } from "./layout.js";
import { chip } from "./runs.js";

const MORE = 5; // epochs, where the advice names no other number
const MOST_STEPS = 4000; // kept here; then every second one is let go

export class RunPanel {
  constructor(name, onlyReads, signal, onChange) {
    Object.assign(this, { name, onlyReads, signal, onChange });
    this.run = null;
    this.progress = null;
    this.epochs = [];
    this.steps = [];
    this.busy = false;
    this.saidAt = -Infinity;
    this.make();
  }

  make() {
    this.state = h("span", {});
    this.told = h("span", { class: "muted small" });
    this.bar = h("progress", { max: 1, value: 0, class: "resting", "aria-label": "Training" });
    this.figures = Object.fromEntries(
      [
        ["epoch"],
        ["val loss", "best val loss"],
        ["accuracy", "val accuracy"],
        ["lr"],
        ["speed", "images/s"],
        ["time", "time left"],
      ].map(([key, name = key]) => [key, figure(name)]),
    );
    this.legend = h("ul", { class: "legend", "aria-label": "Curves" });
    const drawing = h("div", { class: "plot plot-run", role: "img", "aria-label": "Loss by epoch: nothing yet" });
    this.drawing = drawing;
    this.plot = new Plot(drawing, (width, em) => drawRun(this, width, em), this.signal);
    this.reason = h("p", {});
    this.forecast = h("p", { class: "forecast" });
    this.first = h("button", { type: "button", class: "primary", onclick: () => this.press(this.firstDoes) });
    this.second = h("button", { type: "button", onclick: () => this.press(this.secondDoes) }, "Stop here");
    this.problem = h("p", { class: "problem", role: "alert" });
    this.advice = h(
      "section",
      { class: "advice", "aria-label": "Advice" },
      h("div", { "aria-live": "polite" }, h("h3", {}, "Advice"), this.reason, this.forecast),
      this.onlyReads ? null : h("div", { class: "buttons" }, this.first, this.second),
    );
    this.next = h("p", { class: "small" });
    this.figuresTable = h("div", {});
    this.tableDetails = h(
      "details",
      { ontoggle: () => this.showTable() },
      h("summary", {}, "The curves as a table"),
      this.figuresTable,
    );
    this.recipe = h("div", {});
    this.node = h(
      "section",
      { class: "card stack run-card", "aria-labelledby": "run-title" },
      h("header", { class: "run-head" }, h("h2", { id: "run-title" }, this.name), this.state, this.told, this.bar),
      h(
        "dl",
        { class: "figures" },
        Object.values(this.figures).map(({ node }) => node),
      ),
      this.legend,
      drawing,
      this.advice,
      this.problem,
      this.next,
      this.tableDetails,
      h("details", {}, h("summary", {}, "The recipe of this run"), this.recipe),
    );
  }

  async open() {
    const detail = await get(runPath(this.name), this.signal);
    this.progress = detail.progress;
    this.detail = detail;
    this.take(detail);
    this.drawing.classList.toggle("taller", smoothed(detail));
    this.showRecipe();
    await this.load();
    const heard = {
      state: (run) => this.take(run),
      steps: (news) => this.hearSteps(news),
      epoch: (row) => this.hearEpoch(row),
      advice: (advice) => this.showAdvice(advice),
    };
    // Whenever the line was broken, what came after the last step known here is told first.
    const path = () => runPath(this.name, `/events?since_step=${this.lastStep()}`);
    follow(path, (event, data) => heard[event]?.(data), this.signal);
  }

  // What waited had no machine and no data yet.
  async refresh() {
    const detail = await get(runPath(this.name), this.signal).catch(() => null);
    if (detail) this.detail = detail;
  }

  async load() {
    const { epochs, steps } = await get(runPath(this.name, "/history"), this.signal);
    this.epochs = epochs;
    this.steps = steps;
    this.changed();
  }

  lastStep() {
    return this.steps.at(-1)?.step ?? 0;
  }

  hearSteps({ rows, progress }) {
    if (progress) {
      this.progress = progress;
      this.detail.steps_per_epoch = progress.steps_per_epoch; // null where the run waited when it was asked for
    }
    this.steps = merged(this.steps, rows, "step");
    if (this.steps.length > MOST_STEPS) this.steps = this.steps.filter((_, index) => index % 2 === 1);
    this.showFigures();
    this.showLegend();
    this.plot.redraw();
  }

  hearEpoch(row) {
    this.epochs = merged(this.epochs, [row], "epoch");
    // Small networks end many epochs a second: nobody can listen to all of them.
    if (performance.now() - this.saidAt > 4000) this.sayEpoch(row);
    this.changed();
  }

  sayEpoch(row) {
    this.saidAt = performance.now();
    say(`Epoch ${row.epoch}: val loss ${loss(row.val_loss)}, val accuracy ${percent(row.val_accuracy)}`);
  }

  take(run) {
    const before = this.run?.state;
    this.run = run;
    if (run.state !== "training") this.progress = null;
    replace(this.state, chip(run.state));
    if (before === "queued") this.refresh();
    if (before && before !== run.state) {
      say(`${this.name} is ${run.state}`);
      this.onChange();
    }
    this.showFigures();
    this.showAdvice(run.advice);
    this.showButtons();
    this.plot.redraw();
  }

  changed() {
    this.showFigures();
    this.showLegend();
    this.showTable();
    this.plot.redraw();
  }

  showFigures() {
    const { run, progress } = this;
    const training = run.state === "training";
    const set = (key, text) => write(this.figures[key].dd, text);
    const at = training && progress ? progress.epoch : run.epochs;
    set("epoch", run.target_epochs ? `${at} of ${run.target_epochs}` : String(at));
    set("val loss", loss(run.val_loss));
    set("accuracy", percent(run.val_accuracy));
    set("lr", number(progress?.lr ?? this.epochs.at(-1)?.lr ?? this.detail.recipe_fields.lr));
    set("speed", training ? count(progress?.images_per_second) : "–");
    write(this.figures.time.node.firstChild, training ? "time left" : "trained for");
    set("time", duration(training ? progress?.seconds_left : run.train_seconds));
    const whole = progress ? progress.steps_per_epoch * run.target_epochs : 0;
    this.bar.value = whole ? Math.min(1, progress.step / whole) : 0;
    this.bar.classList.toggle("resting", !training);
    write(this.told, this.line());
  }

  line() {
    const { run } = this;
    const recipe = `recipe ${run.recipe}`;
    if (run.state === "queued") return `${recipe} · waiting for the training before it`;
    if (run.state === "training" && !run.steps && !this.progress)
      return `${recipe} · getting ready: loading images, drawing others`;
    return `${recipe} · ${several(Math.max(run.steps, this.progress?.step ?? 0), "step")}`;
  }

  showLegend() {
    const last = this.epochs.at(-1);
    const best = this.run.best_epoch;
    const entries = [
      ["val", last?.val_loss, "val"],
      ["train", last?.loss, "train"],
      [smoothed(this.detail) ? "batch, with smoothed labels" : "batch", this.batchLoss(), "batch"],
    ].filter(([, value]) => value !== null && value !== undefined);
    replace(
      this.legend,
      entries.map(([name, value, key]) => h("li", {}, sample(key), `${name} `, h("b", {}, loss(value)))),
      best ? h("li", {}, sample("best"), "best: ", h("b", {}, `epoch ${best}`)) : null,
      this.overfits() ? h("li", {}, sample("gap"), "overfitting") : null,
    );
    const told = last
      ? `Loss by epoch, after ${several(last.epoch, "epoch")}: val ${loss(last.val_loss)}, train ${loss(last.loss)}, ` +
        `val accuracy ${percent(last.val_accuracy)}${best ? `; the best epoch is ${best}` : ""}`
      : "Loss by step: the first epoch is under way";
    this.drawing.setAttribute("aria-label", told);
  }

  // Of the last step while it trains, then of the epoch.
  batchLoss() {
    const step = this.steps.at(-1)?.batch_loss;
    return this.run.state === "training" ? step : (this.epochs.at(-1)?.batch_loss ?? step);
  }

  overfits() {
    return this.run.advice?.verdict === "overfitting";
  }

  showTable() {
    if (!this.tableDetails.open) return;
    const rows = this.epochs.map((row) => [
      String(row.epoch),
      loss(row.val_loss),
      loss(row.loss),
      loss(row.batch_loss),
      percent(row.val_accuracy),
      percent(row.accuracy),
      number(row.lr),
      duration(row.elapsed_s),
    ]);
    const head = [
      "epoch",
      "val loss",
      "train loss",
      "batch loss",
      "val accuracy",
      "train accuracy",
      "lr",
      "trained for",
    ];
    replace(
      this.figuresTable,
      rows.length
        ? scroller(
            "The epochs of this run",
            table("Losses are mean cross-entropy in nats; batch loss is the criterion’s.", head, rows),
          )
        : h("p", { class: "muted" }, "No epoch is finished yet."),
    );
  }

  showRecipe() {
    const { recipe_fields: fields } = this.detail;
    const rows = Object.entries(fields)
      .filter(([key]) => key !== "name")
      .map(([key, value]) => [words(key), value === null ? "–" : String(value)]);
    replace(
      this.recipe,
      scroller("The recipe", table("All the fields that decide the weights", ["field", "value"], rows, { class: "words" })),
    );
  }

  showAdvice(advice) {
    const { run } = this;
    this.advice.className = `advice ${advice?.verdict ?? ""}`;
    if (run.state === "failed") write(this.reason, `It failed: ${run.error}`);
    else if (advice) write(this.reason, advice.reason);
    else if (run.state === "queued") write(this.reason, "Waiting for its turn: one training runs at a time.");
    else if (this.detail.recipe_fields.val_size === 0)
      write(this.reason, "No val images were set apart, so there can be no advice.");
    else write(this.reason, "Advice comes after the first epoch.");
    // To continue is reasoned with the forecast; of a stop it is told beside.
    const far = advice && advice.verdict !== "continue" && advice.forecast.find(({ epochs }) => epochs === MORE);
    write(
      this.forecast,
      far
        ? `Forecast for ${MORE} more epochs: val loss ${loss(far.val_loss)} (80% interval ${loss(far.low)} to ${loss(far.high)})`
        : "",
    );
    this.showLegend();
  }

  showButtons() {
    const { run } = this;
    const set = (text, does) => {
      write(this.first, text);
      this.firstDoes = does;
    };
    if (run.state === "training") set("Pause", ["/pause", {}, "Pausing; it can be continued from there."]);
    else if (run.state === "paused") set(`Continue to epoch ${run.target_epochs}`, ["/continue", { epochs: null }]);
    else set(`Continue ${this.more()} more`, ["/continue", { epochs: this.more() }]);
    this.secondDoes = ["/stop", {}, "Stopped here. The best weights are kept; it can be continued at any time."];
    const stops = ["plateau", "overfitting", "unstable"].includes(run.advice?.verdict) && run.state !== "training";
    this.first.classList.toggle("primary", !stops);
    this.second.classList.toggle("primary", stops);
    this.first.disabled = this.busy || run.state === "queued" || (run.state === "failed" && !run.steps);
    this.second.disabled = this.busy || (run.state === "failed" && !run.steps);
    write(this.second, run.state === "queued" ? "Take it from the queue" : "Stop here");
    const rests = ["idle", "paused", "failed"].includes(run.state) && run.epochs > 0;
    const to = (view, text) => h("a", { href: `#/${view}/${encodeURIComponent(this.name)}` }, text);
    replace(
      this.next,
      rests
        ? [
            "With these weights: ",
            to("inside", "look inside"),
            " · ",
            to("examine", "examine them on the sealed test set"),
            " · ",
            to("read", "draw and read with them"),
          ]
        : [],
    );
  }

  // As many epochs as the advice names.
  more() {
    return Number(this.run.advice?.command?.match(/--epochs (\d+)/)?.[1] ?? MORE);
  }

  async press([path, body, words_]) {
    this.busy = true;
    this.showButtons();
    write(this.problem, "");
    try {
      const run = await post(runPath(this.name, path), body);
      if (run?.state) this.take(run);
      if (words_) say(words_);
    } catch (error) {
      write(this.problem, error.message);
    }
    this.busy = false;
    this.showButtons();
    this.onChange();
  }
}

// Rows that come again (after an interruption they do) replace those from there on.
function merged(old, rows, key) {
  if (!rows.length) return old;
  const from = rows[0][key];
  let end = old.length;
  while (end > 0 && old[end - 1][key] >= from) end -= 1;
  return old.slice(0, end).concat(rows);
}

function sample(kind) {
  const parts = {
    val: [
      svg("path", { d: "M0 7h28", stroke: "var(--val)", "stroke-width": "2.4" }),
      svg("circle", { cx: "14", cy: "7", r: "3.6", fill: "var(--val)" }),
    ],
    train: [
      svg("path", { d: "M0 7h28", stroke: "var(--train)", "stroke-width": "2", "stroke-dasharray": "6 3" }),
      svg("rect", {
        x: "11",
        y: "4",
        width: "6.4",
        height: "6.4",
        fill: "var(--card)",
        stroke: "var(--train)",
        "stroke-width": "1.6",
      }),
    ],
    batch: [
      svg("path", {
        d: "M0 9l4-5 4 6 4-7 4 5 4-4 4 6 4-3",
        fill: "none",
        stroke: "var(--batch)",
        "stroke-width": "1.4",
      }),
    ],
    best: [svg("circle", { cx: "14", cy: "7", r: "5.4", fill: "none", stroke: "var(--ink)", "stroke-width": "1.4" })],
    gap: [svg("rect", { x: "2", y: "1", width: "24", height: "12", fill: "var(--shade)" })],
  };
  return svg("svg", { width: "28", height: "14", "aria-hidden": "true" }, parts[kind]);
}
