// Examine: the sealed test set, what a look says, and every misread image.

import { get, post, runPath } from "./api.js";
import { h, picture, replace, say, scroller, svg, table } from "./dom.js";
import { count, number, percent, several } from "./format.js";
import { chosen, fetchRuns, nothing, picker, unknown } from "./runs.js";

const AT_FIRST = 60; // misread images that are shown before one asks for all

export async function show(root, names, signal) {
  const { runs, read_only: onlyReads } = await fetchRuns(signal);
  const run = chosen(runs, names);
  root.append(
    h(
      "div",
      { class: "lead" },
      h("div", {}, h("h1", {}, "Examine"), h("p", {}, "How well it reads images that nothing was chosen by.")),
      run
        ? picker(
            runs.filter(({ steps }) => steps > 0),
            run.name,
            "examine",
          )
        : null,
    ),
  );
  if (!run) {
    root.append(names[0] ? unknown(names[0]) : nothing("There is nothing to examine."));
    return;
  }
  const detail = await get(runPath(run.name), signal);
  let last = null;
  if (detail.looks.length)
    last = await get(runPath(run.name, "/test"), signal).catch((error) => {
      if (error.status !== 404) throw error;
      return null;
    });
  const seal = h("div", {});
  const results = h("div", { class: "stack", "aria-live": "off" });
  root.append(seal, results);

  const shown = (looks) => {
    replace(seal, sealed(run, looks, detail.environment, onlyReads, look));
  };
  async function look(button, problem) {
    button.disabled = true;
    button.textContent = "Looking…";
    problem.textContent = "";
    try {
      const found = await post(runPath(run.name, "/test"), {}, signal);
      const { looks } = await get(runPath(run.name), signal);
      shown(looks);
      replace(results, report(run, found, looks));
      say(
        `Test accuracy ${percent(found.accuracy)}, ${several(found.errors, "error")} in ${several(found.images, "image")}`,
      );
      document.getElementById("result").focus();
    } catch (error) {
      if (signal.aborted) return;
      problem.textContent = error.message;
      button.disabled = false;
      button.textContent = "Look once more";
    }
  }
  shown(detail.looks);
  replace(results, last ? report(run, last, detail.looks) : empty());
}

function sealed(run, looks, environment, onlyReads, look) {
  const problem = h("p", { class: "problem", role: "alert" });
  const images = environment?.data?.test;
  const n = looks.length;
  const button = h(
    "button",
    { type: "button", class: n ? "" : "primary", onclick: () => look(button, problem) },
    n ? `Take look ${n + 1}` : "Look at the test set",
  );
  const cost = n
    ? `${several(n, "look")} at it ${n === 1 ? "was" : "were"} taken with this run. `
    : "No look was taken with this run yet. ";
  return h(
    "section",
    { class: "card", "aria-labelledby": "sealed" },
    h(
      "div",
      { class: "sealed" },
      svg(
        "svg",
        { viewBox: "0 0 24 24", width: "36", height: "36", "aria-hidden": "true" },
        svg("rect", { x: "4.5", y: "10.5", width: "15", height: "10", rx: "2" }),
        svg("path", { d: n ? "M8 10.5V7a4 4 0 0 1 7.6-1.7" : "M8 10.5V7a4 4 0 0 1 8 0v3.5" }),
      ),
      h(
        "div",
        {},
        h("h2", { id: "sealed" }, n ? "The test set was looked at" : "The test set is sealed"),
        h(
          "p",
          { class: "muted" },
          cost,
          `A look costs this: ${images ? `the ${count(images)} test images` : "the test images"} are worth something only as long as nothing is chosen by them. ` +
            "Each look is recorded with the run; whoever tries again until the figure is good has a figure that is too good.",
        ),
      ),
      onlyReads ? null : h("div", { class: "buttons" }, button),
    ),
    problem,
  );
}

const empty = () =>
  h(
    "section",
    { class: "card empty" },
    h("h2", {}, "Nothing was looked at yet"),
    h(
      "p",
      {},
      "Decide by val loss first: recipe, epochs, lr. When nothing is left to choose, look. Here you will then see the accuracy, the confusion matrix and every misread digit.",
    ),
  );

function report(run, found, looks) {
  const images = h("div", {});
  const showMisread = (label = null, prediction = null, all = false) =>
    replace(images, misread(found, label, prediction, all, showMisread));
  showMisread();
  const [low, high] = found.accuracy_interval;
  const figures = [
    ["errors", `${count(found.errors)} of ${count(found.images)}`],
    ["W", `${found.weights ?? "best"}, epoch ${found.epoch ?? "–"}`],
    ["loss (nats)", number(found.nll)],
    ["calibration error", percent(found.ece)],
  ];
  return h(
    "div",
    { class: "stack" },
    h(
      "div",
      { class: "two" },
      h(
        "section",
        { class: "card stack", "aria-labelledby": "result" },
        h("h2", { id: "result", tabindex: "-1" }, "Test accuracy"),
        h(
          "p",
          {},
          h("span", { class: "headline" }, percent(found.accuracy)),
          " ",
          h("span", { class: "muted" }, `95% interval ${percent(low)} to ${percent(high)}`),
        ),
        h(
          "dl",
          { class: "figures" },
          figures.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
        ),
        h(
          "details",
          {},
          h("summary", {}, `Every look taken with ${run.name}`),
          scroller(
            "Looks",
            table(
              "Looks at the test set",
              ["look", "when", "epoch", "accuracy", "errors"],
              looks.map((look) => [
                String(look.look),
                when(look.at),
                String(look.epoch),
                percent(look.accuracy),
                count(look.errors),
              ]),
            ),
          ),
        ),
      ),
      h(
        "section",
        { class: "card", "aria-labelledby": "confusion" },
        h("h2", { id: "confusion" }, "Confusion"),
        scroller("Confusion matrix", confusion(found, showMisread)),
      ),
    ),
    h("section", { class: "card stack", "aria-labelledby": "misread" }, h("h2", { id: "misread" }, "Misread"), images),
  );
}

const when = (at) => {
  const date = new Date(at.replace(/([+-]\d\d)(\d\d)$/, "$1:$2"));
  return Number.isNaN(date.getTime()) ? at : date.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
};

function confusion({ confusion: counts, classes }, onCell) {
  const most = Math.max(1, ...counts.flatMap((row, label) => row.filter((_, prediction) => prediction !== label)));
  const buttons = [];
  const cell = (value, label, prediction) => {
    if (label === prediction) return h("td", { class: "right" }, h("span", {}, count(value)));
    if (!value)
      return h("td", {}, h("span", {}, h("span", { class: "unseen" }, "0"), h("i", { "aria-hidden": "true" }, "·")));
    const press = () => {
      const pressed = button.getAttribute("aria-pressed") === "true";
      buttons.forEach((other) => other.setAttribute("aria-pressed", "false"));
      button.setAttribute("aria-pressed", String(!pressed));
      if (pressed) onCell();
      else onCell(label, prediction);
    };
    const button = h(
      "button",
      {
        type: "button",
        "aria-pressed": "false",
        onclick: press,
        "aria-label": `${several(value, "image")} of ${classes[label]} read as ${classes[prediction]}: show ${value === 1 ? "it" : "them"}`,
      },
      String(value),
    );
    button.style.setProperty("--much", Math.sqrt(value / most));
    buttons.push(button);
    return h("td", {}, button);
  };
  return h(
    "table",
    { class: "confusion" },
    h("caption", {}, "Row: what it is; column: what it was read as. Press a number to see those digits."),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, h("span", { class: "unseen" }, "label")),
        classes.map((name) => h("th", { scope: "col" }, name)),
      ),
    ),
    h(
      "tbody",
      {},
      counts.map((row, label) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, classes[label]),
          row.map((value, prediction) => cell(value, label, prediction)),
        ),
      ),
    ),
  );
}

function misread({ misread: all, classes }, label, prediction, everything, again) {
  const some = all.filter(
    (one) => (label === null || one.label === label) && (prediction === null || one.prediction === prediction),
  );
  const shown = everything ? some : some.slice(0, AT_FIRST);
  const what =
    label === null
      ? `All ${count(all.length)} that were misread, the surest first`
      : `${several(some.length, "image")} of ${classes[label]} read as ${classes[prediction]}`;
  if (!all.length) return h("p", {}, "Not one was misread.");
  return [
    h(
      "div",
      { class: "misread-head" },
      h("p", { role: "status" }, what),
      label === null
        ? null
        : h("button", { type: "button", class: "quiet", onclick: () => again() }, "Show all misread"),
    ),
    h(
      "ul",
      { class: "misread" },
      shown
        .sort((a, b) => Math.max(...b.probabilities) - Math.max(...a.probabilities))
        .map((one) => card(one, classes)),
    ),
    shown.length < some.length
      ? h(
          "button",
          { type: "button", onclick: () => again(label, prediction, true) },
          `Show the other ${count(some.length - shown.length)}`,
        )
      : null,
  ];
}

function card({ index, label, prediction, probabilities, image }, classes) {
  const order = probabilities
    .map((_, i) => i)
    .sort((a, b) => probabilities[b] - probabilities[a])
    .slice(0, 3);
  return h(
    "li",
    {},
    picture(image, `Test image ${index}: a ${classes[label]}, read as ${classes[prediction]}`),
    h(
      "div",
      {},
      h("strong", {}, `${classes[label]}, read as ${classes[prediction]}`),
      h(
        "ol",
        { "aria-label": "The most probable" },
        order.map((i) => h("li", {}, `${classes[i]}: ${percent(probabilities[i], 1)}`)),
      ),
      h("span", { class: "muted" }, `image ${count(index)}`),
    ),
  );
}
