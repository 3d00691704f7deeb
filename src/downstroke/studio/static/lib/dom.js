// Elements without markup in strings: what comes from a run or a file is only ever text.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && typeof value !== "string" && !(element instanceof SVGElement)) element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

// h("button", {type: "button", onclick: press}, "Train")
export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

export function replace(element, ...children) {
  element.replaceChildren(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

// Text is set only where it changed: a screen reader then says what is new, and a selection survives.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Say it to those who do not see it.
export function say(text) {
  document.getElementById("said").textContent = text;
}

export function table(caption, head, rows, attributes = {}) {
  return h(
    "table",
    attributes,
    h("caption", {}, caption),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        head.map((name) => h("th", { scope: "col" }, name)),
      ),
    ),
    h(
      "tbody",
      {},
      rows.map(([first, ...rest]) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, first),
          rest.map((cell) => h("td", {}, cell)),
        ),
      ),
    ),
  );
}

// A wide table scrolls in itself, and by keyboard too.
export const scroller = (name, content) =>
  h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": name }, content);

let count = 0;
export const fresh = (stem) => `${stem}-${(count += 1)}`;

// A glyph or an image, ink high on zero, 2D: drawn with one pixel each and enlarged by the style sheet.
export function picture(pixels, label, attributes = {}) {
  const canvas = h("canvas", { class: "pixels glyph", role: "img", "aria-label": label, ...attributes });
  paint(canvas, pixels, (value) => [255 - value, 255 - value, 255 - value]);
  return canvas;
}

export function paint(canvas, pixels, colour) {
  const height = pixels.length;
  const width = pixels[0].length;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  pixels.flat().forEach((value, index) => {
    const [red, green, blue] = colour(value);
    image.data.set([red, green, blue, 255], 4 * index);
  });
  context.putImageData(image, 0, 0);
}
