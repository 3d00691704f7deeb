// The pad: strokes by finger, pen, mouse or keyboard, shown in the page's ink and sent as black on white.

import { h } from "../lib/dom.js";

const WIDTH = 400; // of what is sent; the height follows the pad's shape
const THICK = 0.032; // of a stroke, as a part of the pad's width
const STEP = 0.02; // of the keyboard's pen

export class Pad {
  constructor(onChange, onSay, signal) {
    Object.assign(this, { onChange, onSay });
    this.strokes = []; // each: points {x, y}, both in parts of the pad's width
    this.pen = { x: 0.25, y: 0.1, down: false, shown: false };
    this.sheet = document.createElement("canvas");
    this.canvas = h("canvas", {
      class: "pad",
      tabindex: "0",
      role: "application",
      "aria-label": "Drawing pad",
      "aria-describedby": "pad-keys",
      onpointerdown: (event) => this.down(event),
      onpointermove: (event) => this.move(event),
      onpointerup: (event) => this.up(event),
      onpointercancel: (event) => this.up(event),
      onkeydown: (event) => this.key(event),
      onblur: () => this.lift(),
    });
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.canvas);
    signal.addEventListener("abort", () => this.sizes.disconnect());
    document.addEventListener("themechange", () => this.draw(), { signal });
  }

  get empty() {
    return this.strokes.length === 0;
  }

  get tall() {
    return this.canvas.clientHeight / (this.canvas.clientWidth || 1) || 0.5;
  }

  // ---- finger, pen, mouse ----

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.width };
  }

  down(event) {
    if (event.button || this.pointer !== undefined) return;
    this.pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.pen.shown = false;
    this.strokes.push([this.at(event)]);
    this.changed();
  }

  move(event) {
    if (event.pointerId !== this.pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) this.strokes.at(-1).push(this.at(one));
    this.changed();
  }

  up(event) {
    if (event.pointerId === this.pointer) this.pointer = undefined;
  }

  // ---- keyboard ----

  key(event) {
    const by = (event.shiftKey ? 3 : 1) * STEP;
    const moves = {
      ArrowLeft: [-by, 0],
      ArrowRight: [by, 0],
      ArrowUp: [0, -by],
      ArrowDown: [0, by],
      Home: [-by, -by],
      PageUp: [by, -by],
      End: [-by, by],
      PageDown: [by, by],
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (moves[event.key]) this.moveBy(...moves[event.key]);
    else if (event.key === " ") this.press();
    else if (event.key === "Backspace") this.undo();
    else if (event.key === "Delete") this.clear();
    else return;
    event.preventDefault();
  }

  moveBy(x, y) {
    const { pen } = this;
    pen.shown = true;
    pen.x = Math.min(1, Math.max(0, pen.x + x));
    pen.y = Math.min(this.tall, Math.max(0, pen.y + y));
    if (pen.down) this.strokes.at(-1).push({ x: pen.x, y: pen.y });
    this.changed(pen.down);
  }

  press() {
    const { pen } = this;
    pen.shown = true;
    pen.down = !pen.down;
    if (pen.down) this.strokes.push([{ x: pen.x, y: pen.y }]);
    const where = `${Math.round(100 * pen.x)}% from the left, ${Math.round((100 * pen.y) / this.tall)}% from the top`;
    this.onSay(pen.down ? `Pen down, ${where}` : `Pen up, ${where}`);
    this.changed(pen.down);
  }

  lift() {
    this.pen.down = false;
    this.pen.shown = false;
    this.draw();
  }

  // ---- what was drawn ----

  undo() {
    this.strokes.pop();
    this.pen.down = false;
    this.changed();
  }

  clear() {
    this.strokes = [];
    this.pen.down = false;
    this.changed();
  }

  changed(ink = true) {
    this.draw();
    if (ink) this.onChange();
  }

  draw() {
    const { canvas, pen } = this;
    const scale = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * scale);
    const height = Math.round(canvas.clientHeight * scale);
    if (!width) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const style = getComputedStyle(document.documentElement);
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    trace(context, this.strokes, width, style.getPropertyValue("--ink"));
    if (this.empty && !pen.shown) {
      context.font = `${Math.round(18 * scale)}px ${getComputedStyle(document.body).fontFamily}`;
      context.fillStyle = style.getPropertyValue("--muted");
      context.textAlign = "center";
      context.fillText("Draw here", width / 2, height / 2);
    }
    if (!pen.shown) return;
    context.beginPath();
    context.arc(pen.x * width, pen.y * width, THICK * width * 0.7, 0, 2 * Math.PI);
    context.lineWidth = 2 * scale;
    context.strokeStyle = style.getPropertyValue("--train");
    context.stroke();
    if (pen.down) {
      context.fillStyle = style.getPropertyValue("--train");
      context.fill();
    }
  }

  // The pad as a PNG in base64, black on white whatever the theme.
  picture() {
    const { sheet } = this;
    sheet.width = WIDTH;
    sheet.height = Math.round(WIDTH * this.tall);
    const context = sheet.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, sheet.width, sheet.height);
    trace(context, this.strokes, WIDTH, "#000");
    return sheet.toDataURL("image/png").split(",")[1];
  }
}

function trace(context, strokes, width, colour) {
  context.lineWidth = THICK * width;
  context.lineCap = "round";
  context.lineJoin = "round";
  context.strokeStyle = colour;
  for (const [first, ...rest] of strokes) {
    context.beginPath();
    context.moveTo(first.x * width, first.y * width);
    // A single touch is a dot: a line of no length with round ends.
    context.lineTo(first.x * width, first.y * width);
    rest.forEach((point, index) => {
      const next = rest[index + 1];
      // Through the middles between points, bent at the points: a fast hand's corners are rounded.
      if (next)
        context.quadraticCurveTo(
          point.x * width,
          point.y * width,
          ((point.x + next.x) / 2) * width,
          ((point.y + next.y) / 2) * width,
        );
      else context.lineTo(point.x * width, point.y * width);
    });
    context.stroke();
  }
}
