// What every view is built of: its heading, its cards, its figures, and what stands there while there is no run.

import { h } from "../lib/dom.js";

export const lead = (title, text, beside = null) =>
  h("div", { class: "lead" }, h("div", {}, h("h1", {}, title), h("p", {}, text)), beside);

// A titled section. `look` adds classes: "stack" puts the children below each other with gaps.
export const card = (id, title, look, ...children) =>
  h("section", { class: `card ${look}`.trim(), "aria-labelledby": id }, h("h2", { id }, title), children);

export const figure = (name, value = "–") => {
  const dd = h("dd", {}, value);
  return { node: h("div", {}, h("dt", {}, name), dd), dd };
};

const empty = (title, text, link) =>
  h(
    "div",
    { class: "card empty" },
    h("h2", {}, title),
    h("p", {}, text),
    h("a", { class: "button", href: "#/learn" }, link),
  );

// Where there is no run to show.
export const nothing = (what) =>
  empty("There is no run yet", `${what} Train one first: three epochs are a good start.`, "Go to Learn");

export const unknown = (name) =>
  empty(
    `There is no trained run “${name}” here`,
    "It may have been deleted, or it has not finished its first step yet.",
    "See the runs",
  );
