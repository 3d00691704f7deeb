// The misread test images, all or those of one cell of the confusion matrix.

import { h, picture } from "../lib/dom.js";
import { count, percent, several } from "../lib/format.js";

const AT_FIRST = 30; // images that are shown before one asks for all

// `again(label, prediction, everything)` shows another choice of them.
export function misread({ misread: all, classes, errors }, label, prediction, everything, again) {
  const some = all.filter(
    (one) => (label === null || one.label === label) && (prediction === null || one.prediction === prediction),
  );
  const shown = everything ? some : some.slice(0, AT_FIRST);
  const what =
    label === null
      ? `${several(errors, "misread image")}, the most certain first` +
        (all.length < errors ? `; the other ${count(errors - all.length)} are not shown` : "")
      : `${several(some.length, "image")} of ${classes[label]} read as ${classes[prediction]}`;
  if (!all.length) return h("p", {}, "No image was misread.");
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
      shown.map((one) => card(one, classes)),
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
