// Compare: curves overlaid, what differs between the recipes, and the paired comparison in words.

import { get, runPath } from "./api.js";
import { accuracyAxis, lossAxis, panelName, Plot, runLook } from "./curves.js";
import { fresh, h, replace, scroller, svg, table } from "./dom.js";
import { loss, percent, several, words } from "./format.js";
import { chip, fetchRuns, nothing } from "./runs.js";

export async function show(root, names, signal) {
  const { runs } = await fetchRuns(signal);
  const trained = runs.filter((run) => run.epochs > 0);
  root.append(
    h(
      "div",
      { class: "lead" },
      h(
        "div",
        {},
        h("h1", {}, "Compare"),
        h("p", {}, "Tick two runs or more. They are compared on the same val images, paired: more than chance?"),
      ),
    ),
  );
  if (trained.length === 0) {
    root.append(nothing("Runs are compared once they have finished an epoch."));
    return;
  }
  // In the order in which they were ticked: the first is what the others are compared with.
  const ticked = names.filter((name) => trained.some((run) => run.name === name));
  const histories = new Map();
  const drawing = h("div", { class: "plot plot-overlay", role: "img", "aria-label": "No run is ticked" });
  const plot = new Plot(drawing, (c, width, narrow) => overlay(ticked, histories, c, narrow), signal);
  const legend = h("ul", { class: "legend", "aria-label": "Curves" });
  const hint = h("p", { class: "muted" }, "Tick a run, to see its curves here.");
  const sentences = h("div", { class: "sentences", "aria-live": "polite" });
  const differences = h("div", {});
  let asked = 0;

  const tick = (event) => {
    const { value, checked } = event.target;
    if (checked) ticked.push(value);
    else ticked.splice(ticked.indexOf(value), 1);
    history.replaceState(null, "", `#/compare/${ticked.map(encodeURIComponent).join("/")}`);
    update();
  };

  async function update() {
    const mine = (asked += 1);
    replace(legend, ticked.map(legendEntry));
    replace(
      sentences,
      h(
        "p",
        { class: "muted" },
        ticked.length < 2
          ? "Tick two runs or more, to read here which is better."
          : "Both read the val images; this takes a moment…",
      ),
    );
    replace(
      differences,
      h(
        "p",
        { class: "muted" },
        ticked.length < 2 ? "Tick two runs or more, to see here in what their recipes differ." : "…",
      ),
    );
    for (const name of ticked)
      if (!histories.has(name)) histories.set(name, (await get(runPath(name, "/history"), signal)).epochs);
    drawing.setAttribute("aria-label", described(ticked, histories));
    hint.hidden = ticked.length > 0;
    drawing.hidden = ticked.length === 0;
    if (hint.hidden) plot.redraw();
    if (ticked.length < 2) return;
    const details = await Promise.all(ticked.map((name) => get(runPath(name), signal)));
    if (mine !== asked) return;
    replace(
      differences,
      differing(
        ticked,
        details.map((detail) => detail.recipe_fields),
      ),
    );
    const told = [];
    for (const other of ticked.slice(1)) {
      told.push(await paired(ticked[0], other, signal));
      if (mine !== asked) return;
      replace(sentences, told);
    }
  }

  root.append(
    h(
      "section",
      { class: "card", "aria-labelledby": "which" },
      h("h2", { id: "which" }, "Runs"),
      scroller("Runs to compare", choices(trained, ticked, tick)),
    ),
    h(
      "section",
      { class: "card stack", "aria-labelledby": "curves" },
      h("h2", { id: "curves" }, "Curves"),
      legend,
      hint,
      drawing,
    ),
    h(
      "div",
      { class: "two" },
      h(
        "section",
        { class: "card", "aria-labelledby": "better" },
        h("h2", { id: "better" }, "Which is better"),
        sentences,
      ),
      h(
        "section",
        { class: "card", "aria-labelledby": "differs" },
        h("h2", { id: "differs" }, "What differs"),
        differences,
      ),
    ),
  );
  update();
}

function choices(runs, ticked, tick) {
  const row = (run) => {
    const id = fresh("tick");
    const box = h("input", {
      type: "checkbox",
      id,
      value: run.name,
      checked: ticked.includes(run.name),
      onchange: tick,
    });
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, h("span", { class: "tick" }, box, h("label", { for: id }, run.name))),
      [run.recipe, String(run.epochs), loss(run.val_loss), percent(run.val_accuracy), chip(run.state)].map((cell) =>
        h("td", {}, cell),
      ),
    );
  };
  const head = ["run", "recipe", "epochs", "best val loss", "val accuracy", "state"];
  return h(
    "table",
    { class: "choices" },
    h("caption", { class: "unseen" }, "Runs to compare"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        head.map((name) => h("th", { scope: "col" }, name)),
      ),
    ),
    h("tbody", {}, runs.map(row)),
  );
}

async function paired(first, second, signal) {
  try {
    const found = await get(`/api/compare?a=${encodeURIComponent(first)}&b=${encodeURIComponent(second)}`, signal);
    // A sentence begins with a name, which keeps its letters, or with a word.
    const sentence = (text) => `${text.replace(/^(the|both) /, (word) => word[0].toUpperCase() + word.slice(1))}.`;
    return h(
      "div",
      {},
      found.words.map((text) => h("p", {}, sentence(text))),
    );
  } catch (error) {
    return h("p", { class: "problem" }, `${first} and ${second}: ${error.message}`);
  }
}

function differing(names, recipes) {
  const keys = Object.keys(recipes[0]).filter(
    (key) => key !== "name" && recipes.some((recipe) => recipe[key] !== recipes[0][key]),
  );
  if (!keys.length)
    return h("p", {}, "The recipes are the same; the runs differ in how long they were trained, if in anything.");
  const rows = keys.map((key) => [
    words(key),
    ...recipes.map((recipe) => (recipe[key] === null ? "–" : String(recipe[key]))),
  ]);
  return scroller(
    "What differs between the recipes",
    table(`${several(keys.length, "field")} of the recipes`, ["field", ...names], rows, { class: "words" }),
  );
}

function legendEntry(name, index) {
  const dashes = ["", "6 3", "7 3 2 3", "2 3"][index % 4];
  const line = svg("path", {
    d: "M0 7h28",
    "stroke-width": "2.6",
    "stroke-dasharray": dashes,
    class: `run-${index % 7}`,
  });
  return h("li", {}, svg("svg", { width: "28", height: "14", "aria-hidden": "true" }, line), name);
}

const described = (names, histories) =>
  names.length
    ? `Val loss by epoch of ${several(names.length, "run")}: ` +
      names.map((name) => `${name}, at the end ${loss(histories.get(name)?.at(-1)?.val_loss)}`).join("; ")
    : "No run is ticked";

function overlay(names, histories, c, narrow) {
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
      annotations: [panelName(narrow ? "val loss (nats)" : "val loss (nats, mean over images)", 1, c), panelName(narrow ? "accuracy (log)" : "val accuracy, the errors on a log scale", 0.325, c)],
    },
  };
}
