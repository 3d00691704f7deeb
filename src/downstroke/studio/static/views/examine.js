// Examine: the sealed test set, what a look says, and every misread image.

import { get, post, runPath } from "../lib/api.js";
import { h, replace, say, scroller, svg, table } from "../lib/dom.js";
import { count, number, percent, several } from "../lib/format.js";
import { confusion } from "../parts/confusion.js";
import { card, figure, lead, nothing, unknown } from "../parts/layout.js";
import { misread } from "../parts/misread.js";
import { chosen, Picker } from "../parts/runs.js";

let leaving, picker;

export async function mount(root, names, { runs, read_only: onlyReads }) {
  leaving = new AbortController();
  const { signal } = leaving;
  const run = chosen(runs, names);
  picker = run && new Picker("Run", run.name, "examine");
  root.append(lead("Examine", "How well it reads images that no choice was based on.", picker?.node));
  if (!run) {
    root.append(names[0] ? unknown(names[0]) : nothing("There is nothing to examine."));
    return;
  }
  const { name } = run;
  const { looks, environment } = await get(runPath(name), signal);
  let last = null;
  if (looks.length)
    last = await get(runPath(name, "/test"), signal).catch((error) => {
      if (error.status !== 404) throw error;
      return null;
    });
  const seal = h("div", {});
  const results = h("div", { class: "stack", "aria-live": "off" });
  root.append(seal, results);

  const showSeal = (taken) => replace(seal, sealed(taken.length, environment?.data?.test, onlyReads ? null : look));
  async function look(button, problem) {
    button.disabled = true;
    button.textContent = "Looking…";
    problem.textContent = "";
    try {
      const found = await post(runPath(name, "/test"), {}, signal);
      const { looks: taken } = await get(runPath(name), signal);
      showSeal(taken);
      replace(results, report(name, found, taken));
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
  showSeal(looks);
  replace(results, last ? report(name, last, looks) : empty());
}

export function update({ runs }) {
  picker?.show(runs.filter(({ steps }) => steps > 0));
}

export const unmount = () => leaving.abort();

// `n`: looks so far; `images`: in the test set; `look` is null where nobody may look.
function sealed(n, images, look) {
  const problem = h("p", { class: "problem", role: "alert" });
  const button = h(
    "button",
    { type: "button", class: n ? "" : "primary", onclick: () => look(button, problem) },
    n ? `Take look ${n + 1}` : "Look at the test set",
  );
  const sofar = n ? `This run has taken ${several(n, "look")} at it. ` : "This run has not been tested on it yet. ";
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
        h("h2", { id: "sealed" }, n ? "The test set has been used" : "The test set is sealed"),
        h(
          "p",
          { class: "muted" },
          sofar,
          `Looking has a price: ${images ? `the ${count(images)} test images` : "the test images"} give an honest figure only as long as no choice is based on them. `,
          "Each look is recorded with the run. If you change things and look until the figure is good, the figure is too good.",
        ),
      ),
      look && h("div", { class: "buttons" }, button),
    ),
    problem,
  );
}

const empty = () =>
  h(
    "section",
    { class: "card empty" },
    h("h2", {}, "No look has been taken yet"),
    h(
      "p",
      {},
      "Choose by val loss first: recipe, epochs, lr. Look when nothing is left to choose. You will then see the accuracy, the confusion matrix and every misread digit here.",
    ),
  );

function report(name, found, looks) {
  const images = h("div", {});
  const showMisread = (label = null, prediction = null, all = false) =>
    replace(images, misread(found, label, prediction, all, showMisread));
  showMisread();
  const [low, high] = found.accuracy_interval;
  const figures = [
    ["errors", `${count(found.errors)} of ${count(found.images)}`],
    ["weights", `${found.weights ?? "best"}, epoch ${found.epoch ?? "–"}`],
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
          figures.map(([what, value]) => figure(what, value).node),
        ),
        h(
          "details",
          {},
          h("summary", {}, `Every look taken with ${name}`),
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
      card("confusion", "Confusion", "", scroller("Confusion matrix", confusion(found, showMisread))),
    ),
    card("misread", "Misread", "stack", images),
  );
}

const when = (at) => {
  const date = new Date(at.replace(/([+-]\d\d)(\d\d)$/, "$1:$2"));
  return Number.isNaN(date.getTime()) ? at : date.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
};
