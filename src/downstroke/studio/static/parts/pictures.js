// Pictures dropped, pasted, chosen or photographed: read, with boxes and readings drawn on them.

import { upload } from "../lib/api.js";
import { h, replace, say, svg } from "../lib/dom.js";
import { percent, several } from "../lib/format.js";
import { card } from "./layout.js";

const MOST = 64; // pictures at once, as many as the API takes

export class Pictures {
  constructor(panel, run, signal) {
    Object.assign(this, { panel, run, signal });
    const take = (files) => this.read([...files].filter(Boolean));
    const input = h("input", {
      type: "file",
      id: "files",
      accept: "image/*",
      multiple: true,
      onchange: () => take(input.files),
    });
    this.drop = h(
      "div",
      { class: "drop" },
      input,
      h("label", { for: "files", class: "button" }, "Choose or photograph a picture"),
      h("p", { class: "small" }, "or drop one here, or paste one with ", h("kbd", {}, "Ctrl"), " ", h("kbd", {}, "V")),
    );
    const over = (on) => (event) => {
      event.preventDefault();
      this.drop.classList.toggle("over", on);
    };
    // A picture may fall anywhere on the page: a browser would else leave it for the picture.
    document.addEventListener("dragover", over(true), { signal });
    document.addEventListener("dragleave", over(false), { signal });
    document.addEventListener(
      "drop",
      (event) => {
        over(false)(event);
        take(event.dataTransfer.files);
      },
      { signal },
    );
    document.addEventListener(
      "paste",
      (event) => {
        if (event.clipboardData.files.length) take(event.clipboardData.files);
      },
      { signal },
    );
    this.status = h("p", { class: "muted small", role: "status" });
    this.results = h("div", { class: "stack" });
    this.node = card("pictures", "Pictures", "stack", this.drop, this.status, this.results);
  }

  async read(files) {
    if (!files.length) return;
    if (files.length > MOST) {
      this.status.textContent = `Too many pictures at once: ${files.length}; take at most ${MOST}.`;
      return;
    }
    this.status.textContent = `Reading ${several(files.length, "picture")}…`;
    const form = new FormData();
    for (const file of files) form.append("files", file, file.name || "pasted.png");
    form.append("explain", "true");
    if (this.run) form.append("run", this.run);
    try {
      const { readings } = await upload("/api/read", form, this.signal);
      const shown = await Promise.all(readings.map((reading, index) => this.result(reading, files[index])));
      replace(this.results, shown);
      this.status.textContent = "";
      say(
        readings
          .map(({ file, error, lines }) => error ?? `${file}: ${lines.map(({ text }) => text).join(", ")}`)
          .join("; "),
      );
    } catch (error) {
      if (!this.signal.aborted) this.status.textContent = error.message;
    }
  }

  async result(reading, file) {
    const digits = reading.lines.flatMap((line) => line.digits);
    const head = h("h3", {}, reading.file);
    if (reading.error)
      return h("article", { class: "stack" }, head, h("p", { class: "problem", role: "alert" }, reading.error));
    const refused = digits.filter(({ accepted }) => !accepted).length;
    return h(
      "article",
      { class: "stack" },
      head,
      await this.drawn(file, digits),
      h(
        "p",
        { class: "page-reading" },
        reading.lines.flatMap((line) => [characters(line), "\n"]),
      ),
      h(
        "p",
        { class: "muted small" },
        `${several(digits.length, "digit")} in ${several(reading.lines.length, "line")}`,
        refused ? h("span", { class: "refusal" }, `, ${refused} of them refused`) : null,
        ". ",
        reading.notes.map((line) => `${line}. `),
        "Press a digit to see its glyph and probabilities.",
      ),
    );
  }

  async drawn(file, digits) {
    const image = h("img", { alt: `The picture ${file.name}` });
    image.src = URL.createObjectURL(file);
    this.signal.addEventListener("abort", () => URL.revokeObjectURL(image.src));
    try {
      await image.decode();
    } catch {
      return h("p", { class: "muted" }, "This browser cannot show the picture, but it was read.");
    }
    const { naturalWidth: width, naturalHeight: height } = image;
    const boxes = digits.map((digit) => this.box(digit, width, () => boxes));
    return h(
      "div",
      { class: "picture" },
      image,
      svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Digits in the picture" }, boxes),
    );
  }

  box(digit, pictureWidth, all) {
    const [x, y, width, height] = digit.box;
    const size = Math.max(0.45 * height, pictureWidth / 45);
    const said = `${digit.digit}, ${digit.accepted ? percent(digit.probability, 1) : "refused"}: show it`;
    const choose = () => {
      for (const other of all()) other.setAttribute("aria-pressed", String(other === node));
      this.panel.forget();
      this.panel.show(digit);
      this.panel.node.scrollIntoView({ block: "nearest" });
    };
    const key = (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose();
    };
    const above = y > 1.1 * size;
    const text = svg(
      "text",
      {
        x: x + width / 2,
        y: above ? y - 0.2 * size : y + height + 0.95 * size,
        "font-size": size,
        "stroke-width": size / 5,
      },
      `${digit.digit}${digit.accepted ? "" : "?"}`,
    );
    const node = svg(
      "g",
      {
        class: `box${digit.accepted ? "" : " refused"}`,
        tabindex: "0",
        role: "button",
        "aria-pressed": "false",
        "aria-label": said,
        onclick: choose,
        onkeydown: key,
      },
      svg("rect", { x, y, width, height, rx: 0.06 * height }),
      text,
    );
    return node;
  }
}

/** A line's digits with the spaces that its text has between groups of them. */
function characters({ text, digits }) {
  let at = 0;
  return digits.flatMap((digit) => {
    const space = text[at] === " ";
    at += space + String(digit.digit).length;
    return space ? [" ", character(digit)] : [character(digit)];
  });
}

const character = ({ digit, accepted }) =>
  accepted
    ? String(digit)
    : h("span", { class: "refused", title: "refused: it does not look enough like a digit" }, String(digit));
