// The pad and what was read. At most one drawing is being read; what is drawn meanwhile is read next.

const WIDTH = 200; // pixels of the drawing that is read
const THICK = 0.06; // of a stroke, as a part of the pad's width

const at = (id) => document.getElementById(id);
const facts = JSON.parse(at("facts").textContent);
const weights = new Float32Array(Uint8Array.from(atob(at("weights").textContent), (one) => one.charCodeAt(0)).buffer);
const worker = new Worker(URL.createObjectURL(new Blob([at("worker").textContent], { type: "text/javascript" })));
const waiting = new Map();
let asked = 0;

worker.onmessage = ({ data }) => {
  waiting.get(data.id)(data);
  waiting.delete(data.id);
};
worker.postMessage({ begin: { facts: facts.network, weights } });

function ask(question) {
  return new Promise((resolve) => {
    waiting.set(++asked, resolve);
    worker.postMessage({ id: asked, ...question });
  });
}

// For programs: `read` takes a square drawing, black on white, grey levels row by row; `readGlyph` 784 levels of a glyph.
globalThis.downstroke = {
  facts,
  drawing: () => Array.from(greyOf(drawn())),
  read: async (grey) => {
    const side = (count) => Number.isInteger(Math.sqrt(count)) && count >= 54 ** 2 && count <= 213 ** 2;
    return ask({ grey: levels(grey, side, "a square of 54 to 213 a side"), size: Math.sqrt(grey.length) });
  },
  readGlyph: async (glyph) => ask({ glyph: levels(glyph, (count) => count === 784, "784") }),
};

function levels(given, fits, expected) {
  const all = Array.from(given ?? []);
  const wrong = all.findIndex((one) => !(Number.isInteger(one) && one >= 0 && one <= 255));
  if (wrong >= 0) throw new TypeError(`level ${wrong} is ${all[wrong]}; expected a whole number from 0 to 255`);
  if (!fits(all.length)) throw new TypeError(`${all.length} levels; expected ${expected}`);
  return Uint8Array.from(all);
}

// ---- the pad ----

const pad = at("pad");
const sheet = Object.assign(document.createElement("canvas"), { width: WIDTH, height: WIDTH });
let lines = []; // each: points {x, y}, in parts of the pad's width
let pointer = null;

const point = (event) => {
  const box = pad.getBoundingClientRect();
  return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
};

pad.addEventListener("pointerdown", (event) => {
  if (event.button || pointer !== null) return;
  pointer = event.pointerId;
  pad.setPointerCapture(pointer);
  lines.push([point(event)]);
  changed();
});
pad.addEventListener("pointermove", (event) => {
  if (event.pointerId !== pointer) return;
  const events = event.getCoalescedEvents?.() ?? [];
  for (const one of events.length ? events : [event]) lines.at(-1).push(point(one));
  changed();
});
for (const end of ["pointerup", "pointercancel"])
  pad.addEventListener(end, (event) => {
    if (event.pointerId === pointer) pointer = null;
  });
at("undo").onclick = () => {
  lines.pop();
  changed();
};
at("clear").onclick = () => {
  lines = [];
  changed();
};
new ResizeObserver(draw).observe(pad);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

function draw() {
  const wide = Math.round(pad.clientWidth * (devicePixelRatio || 1));
  if (!wide) return;
  if (pad.width !== wide) pad.width = pad.height = wide;
  const context = pad.getContext("2d");
  context.clearRect(0, 0, wide, wide);
  trace(context, wide, getComputedStyle(document.body).color);
  if (lines.length) return;
  context.font = `${Math.round(wide / 18)}px system-ui, sans-serif`;
  context.fillStyle = getComputedStyle(at("about")).color;
  context.textAlign = "center";
  context.fillText("Draw here", wide / 2, wide / 2);
}

function trace(context, wide, colour) {
  Object.assign(context, { lineWidth: THICK * wide, lineCap: "round", lineJoin: "round", strokeStyle: colour });
  for (const [first, ...rest] of lines) {
    context.beginPath();
    context.moveTo(first.x * wide, first.y * wide);
    context.lineTo(first.x * wide, first.y * wide);
    rest.forEach((one, index) => {
      const next = rest[index + 1];
      // Through the middles between points, bent at the points: a fast hand's corners are rounded.
      if (next)
        context.quadraticCurveTo(one.x * wide, one.y * wide, ((one.x + next.x) / 2) * wide, ((one.y + next.y) / 2) * wide);
      else context.lineTo(one.x * wide, one.y * wide);
    });
    context.stroke();
  }
}

// The drawing as it is read: black on white, whatever the theme.
function drawn() {
  const context = sheet.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, WIDTH, WIDTH);
  trace(context, WIDTH, "#000");
  return context.getImageData(0, 0, WIDTH, WIDTH).data;
}

const greyOf = (pixels) => Uint8Array.from({ length: pixels.length / 4 }, (_, index) => pixels[4 * index]);

// ---- what was read ----

let stale = false;
let reading = false;

async function changed() {
  draw();
  stale = true;
  if (reading) return;
  reading = true;
  while (stale) {
    stale = false;
    show(lines.length ? await ask({ grey: greyOf(drawn()), size: WIDTH }) : { blank: true });
  }
  reading = false;
}

const percent = (share) => `${(100 * share).toFixed(1)}%`;
const rows = facts.classes.map((name) => {
  const row = document.createElement("tr");
  const [label, bar, value] = ["th", "td", "td"].map((tag) => row.appendChild(document.createElement(tag)));
  label.scope = "row";
  label.textContent = name;
  bar.className = "bar";
  bar.setAttribute("aria-hidden", "true");
  const fill = bar.appendChild(document.createElement("i"));
  at("bars").append(row);
  return { row, fill, value };
});

function show({ blank, probabilities, accepted, glyph, ms }) {
  if (lines.length === 0) blank = true; // cleared while it was being read
  const best = blank ? -1 : probabilities.indexOf(Math.max(...probabilities));
  document.body.classList.toggle("refused", !blank && !accepted);
  rows.forEach(({ row, fill, value }, index) => {
    row.classList.toggle("most", index === best);
    fill.style.transform = `scaleX(${blank ? 0 : probabilities[index]})`;
    value.textContent = blank ? "–" : percent(probabilities[index]);
  });
  const context = at("glyph").getContext("2d");
  const pixels = context.createImageData(28, 28);
  for (let index = 0; index < 784; index++)
    pixels.data.set([...Array(3).fill(blank ? 0 : glyph[index]), 255], 4 * index);
  context.putImageData(pixels, 0, 0);
  at("time").textContent = blank ? "" : `read in ${Math.max(1, Math.round(ms))} ms`;
  at("digit").textContent = blank ? "–" : accepted ? facts.classes[best] : "?";
  if (blank) at("verdict").textContent = lines.length ? "No digit yet: keep drawing." : "Use a finger, a pen or the mouse.";
  else if (accepted) at("verdict").textContent = `Read as ${facts.classes[best]}, ${percent(probabilities[best])}.`;
  else at("verdict").textContent = `Refused: not enough like a digit. Nearest is ${facts.classes[best]}.`;
}

const val = facts.val && `${percent(facts.val.accuracy)} of ${facts.val.images.toLocaleString("en")} val images read right`;
at("about").textContent = [`Weights of ${facts.name}`, val].filter(Boolean).join(": ");
at("facts-line").textContent = `Recipe ${facts.recipe.name}, epoch ${facts.epoch}; made by ${facts.made_by}.`;
draw();
show({ blank: true });
