// The confusion matrix: each count beside the diagonal is a button that shows its digits.

import { h } from "../lib/dom.js";
import { count, several } from "../lib/format.js";

// `onCell(label, prediction)` is called for a cell that is pressed, and `onCell()` where it is let go again.
export function confusion({ confusion: counts, classes }, onCell) {
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
