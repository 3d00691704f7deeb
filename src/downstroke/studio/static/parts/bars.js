// Probabilities as bars, and as a table for those who do not see bars.

import { h, write } from "../lib/dom.js";
import { percent } from "../lib/format.js";

export class Bars {
  constructor(caption, two = false) {
    this.two = two;
    this.rows = [];
    this.body = h("tbody", {});
    this.names = "";
    this.node = h(
      "table",
      { class: "bars" },
      h("caption", { class: "unseen" }, caption),
      h(
        "thead",
        { class: two ? "" : "unseen" },
        h(
          "tr",
          {},
          h("th", { scope: "col" }, h("span", { class: "unseen" }, "class")),
          h("td", {}),
          two ? h("th", { scope: "col" }, "before") : null,
          h("th", { scope: "col" }, two ? "after" : "probability"),
        ),
      ),
      this.body,
    );
  }

  // `probabilities` (and `before`) of each of `classes`; null leaves the bars empty.
  show(classes, probabilities, before = null) {
    if (this.names !== classes.join("\n")) {
      this.names = classes.join("\n");
      this.rows = classes.map(() => this.row());
      this.body.replaceChildren(...this.rows.map(({ node }) => node));
    }
    const top = probabilities ? probabilities.indexOf(Math.max(...probabilities)) : -1;
    this.rows.forEach((row, index) => {
      write(row.name, classes[index]);
      row.bar.style.transform = `scaleX(${probabilities?.[index] ?? 0})`;
      write(row.now, probabilities ? percent(probabilities[index], 1) : "–");
      if (this.two) {
        row.barBefore.style.transform = `scaleX(${before?.[index] ?? 0})`;
        write(row.before, before ? percent(before[index], 1) : "–");
      }
      row.node.classList.toggle("most", index === top);
    });
  }

  row() {
    const name = h("th", { scope: "row" });
    const bar = h("i", {});
    const barBefore = this.two ? h("i", { class: "before" }) : null;
    const now = h("td", {});
    const before = this.two ? h("td", {}) : null;
    const node = h("tr", {}, name, h("td", { class: "bar", "aria-hidden": "true" }, bar, barBefore), before, now);
    return { node, name, bar, barBefore, now, before };
  }
}
