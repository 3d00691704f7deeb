// From a drawing to the glyph that the network sees: what downstroke's glyphs/ink.py and glyphs/glyph.py do where the
// paper is one level all over, as on a pad. Images are {h, w, v}, v a Float32Array of rows; ink is 0 to 1 on zero.

const SIZE = 28;
const BOX = 20;
const THIN = 1.8;
const BROAD = 3.2;
const LEAST = 1.2;
const MOST = 6;
const FINE = 40;

const image = (h, w) => ({ h, w, v: new Float32Array(h * w) });

// As Python rounds: a half goes to the even neighbour.
function round(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 ? low + 1 : low;
}

function percentile(values, percent) {
  if (!values.length) return 0;
  const sorted = Float32Array.from(values).sort();
  return sorted[Math.floor(((sorted.length - 1) * percent) / 100)];
}

function extent({ h, w, v }, over) {
  let [top, bottom, left, right] = [h, -1, w, -1];
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++)
      if (v[y * w + x] > over) {
        top = Math.min(top, y);
        bottom = y;
        left = Math.min(left, x);
        right = Math.max(right, x);
      }
  return { top, left, h: bottom - top + 1, w: right - left + 1 };
}

function crop(of, { top, left, h, w }) {
  const made = image(h, w);
  for (let y = 0; y < h; y++) {
    const start = (top + y) * of.w + left;
    made.v.set(of.v.subarray(start, start + w), y * w);
  }
  return made;
}

function padded(of, by) {
  const made = image(of.h + 2 * by, of.w + 2 * by);
  for (let y = 0; y < of.h; y++) made.v.set(of.v.subarray(y * of.w, (y + 1) * of.w), (y + by) * made.w + by);
  return made;
}

// ---- ink apart from paper ----

// Parts that hang together, also over corners: {parts: Int32Array of numbers from 1, 0 on paper; count, paper with it}.
function components({ h, w, v }, over) {
  const parts = new Int32Array(h * w);
  const waiting = [];
  let count = 1;
  for (let start = 0; start < v.length; start++) {
    if (!(v[start] > over) || parts[start]) continue;
    parts[start] = count;
    waiting.push(start);
    while (waiting.length) {
      const at = waiting.pop();
      const [y, x] = [Math.floor(at / w), at % w];
      for (let r = Math.max(0, y - 1); r <= Math.min(h - 1, y + 1); r++)
        for (let c = Math.max(0, x - 1); c <= Math.min(w - 1, x + 1); c++) {
          const next = r * w + c;
          if (v[next] > over && !parts[next]) {
            parts[next] = count;
            waiting.push(next);
          }
        }
    }
    count++;
  }
  return { parts, count };
}

// `ink`: how much darker than the paper, in grey levels. Null where there is none.
function strokes(ink) {
  const { h, w, v } = ink;
  const candidates = v.filter((level) => level > 8);
  if (!candidates.length) return null;
  const level = percentile(candidates, 90);
  const reach = Math.max(2, round(Math.max(h, w) / 50));
  const strong = image(h, w);
  strong.v = v.map((one) => (one > level / 2 ? 1 : 0));
  const near = extreme(strong, square(2 * reach + 1), true);
  const away = v.filter((_, at) => !near.v[at]).map(Math.abs);
  const unrest = 2 * percentile(away, 90);
  const fade = unrest > 0 ? Math.min(Math.max(unrest, 0.25 * level), 0.45 * level) : 0;
  const { parts, count } = components(ink, fade);
  const cores = new Float64Array(count);
  strong.v.forEach((one, at) => (cores[parts[at]] += parts[at] && one));
  const side = Math.max(h, w);
  const least = Math.max(0.02 * Math.max(...cores), (side / 400) ** 2, side > 32 ? 2 : 1);
  const kept = image(h, w);
  kept.v = Float32Array.from(parts, (part) => (part && cores[part] >= least ? 1 : 0));
  if (!kept.v.some(Boolean)) return null;
  if (unrest === 0) {
    const { top, left, h: high, w: wide } = extent(kept, 0);
    for (let y = top; y < top + high; y++) kept.v.fill(1, y * w + left, y * w + left + wide);
  }
  const full = percentile(candidates, 98) >= 250 ? 255 : level;
  const density = image(h, w);
  density.v = v.map((one, at) => (kept.v[at] && one > 0 ? Math.min(one / full, 1) : 0));
  return { density, parts, count };
}

// The density with the digit at the centre alone: see `at_the_centre` in glyphs/glyph.py.
function atTheCentre({ density, parts, count }) {
  const { h, w, v } = density;
  const mass = new Float64Array(count);
  const central = new Float64Array(count);
  const [middleY, middleX] = [(h - 1) / 2, (w - 1) / 2];
  const spread = 2 * (0.25 * Math.max(h, w)) ** 2;
  const inked = [];
  for (let at = 0; at < v.length; at++) {
    if (!v[at]) continue;
    const [y, x] = [Math.floor(at / w), at % w];
    inked.push({ y, x, part: parts[at] });
    mass[parts[at]] += v[at];
    central[parts[at]] += v[at] * Math.exp(-((y - middleY) ** 2) / spread) * Math.exp(-((x - middleX) ** 2) / spread);
  }
  mass[0] = central[0] = 0;
  if (mass.filter(Boolean).length <= 1) return density;
  const main = central.indexOf(Math.max(...central));
  const own = inked.filter(({ part }) => part === main);
  const mean = (key) => own.reduce((sum, one) => sum + one[key], 0) / own.length;
  const [meanY, meanX] = [mean("y"), mean("x")];
  let [across, along] = [0, 0];
  for (const { y, x } of own) {
    across += (x - meanX) * (y - meanY);
    along += (y - meanY) ** 2;
  }
  const slant = Math.min(1, Math.max(-1, across / Math.max(1e-6, along)));
  const places = Array.from({ length: count }, () => null);
  for (const { y, x, part } of inked) {
    const upright = x - slant * (y - middleY);
    const p = (places[part] ??= { left: upright, right: upright, top: y, bottom: y, touches: false });
    p.left = Math.min(p.left, upright);
    p.right = Math.max(p.right, upright);
    p.top = Math.min(p.top, y);
    p.bottom = Math.max(p.bottom, y);
    p.touches ||= x === 0 || y === 0 || x === w - 1 || y === h - 1;
  }
  for (const p of places) {
    if (!p) continue;
    p.right += 1;
    p.bottom += 1;
    [p.wide, p.high] = [p.right - p.left, p.bottom - p.top];
  }
  const keep = places.map((p, n) => Boolean(mass[n]) && (n === main || belongs(p, places[main])));
  if (keep.every((kept, n) => kept || !mass[n])) return density;
  keep[0] = true; // faint ink between the parts
  const made = image(h, w);
  made.v = v.map((one, at) => (keep[parts[at]] ? one : 0));
  return made;
}

function belongs(part, main) {
  const tall = Math.max(main.high, main.wide / 2);
  const inside = Math.min(part.right, main.right) - Math.max(part.left, main.left);
  const gapX = Math.max(0, -inside);
  const gapY = Math.max(0, Math.max(part.top, main.top) - Math.min(part.bottom, main.bottom));
  const line = Math.max(part.wide, part.high) > 4 * Math.min(part.wide, part.high);
  if (inside >= 0.5 * part.wide) return !(part.touches && (line || gapY > 0.1 * tall)) && gapY <= 0.25 * tall;
  if (part.touches) return false;
  return gapX <= 0.5 * tall && gapY <= 0.5 * tall;
}

// ---- into the box of 20 ----

function fit(ink) {
  const longer = Math.max(ink.h, ink.w);
  let stroke = longer === BOX - 1 || longer === BOX ? (strokeWidth(ink) * BOX) / longer : 0;
  if (!(LEAST <= stroke && stroke <= MOST)) {
    let fine = longer !== FINE ? resized(ink, FINE / longer) : ink;
    stroke = (strokeWidth(fine) * BOX) / FINE;
    const wanted = Math.min(Math.max(stroke, THIN), BROAD);
    if (Math.abs(wanted - stroke) > 0.05) fine = thickened(fine, (((wanted - stroke) / 2) * FINE) / BOX);
    ink = resized(fine, BOX / Math.max(fine.h, fine.w));
    const strong = ink.v.filter((one) => one > 0.03);
    const black = percentile(strong, 98);
    if (strong.length && black < 250 / 255) ink.v = ink.v.map((one) => Math.min(one / black, 1));
  }
  const rows = new Float32Array(ink.h);
  const columns = new Float32Array(ink.w);
  ink.v.forEach((one, at) => {
    rows[Math.floor(at / ink.w)] += one;
    columns[at % ink.w] += one;
  });
  const [top, left] = [offset(rows), offset(columns)];
  const glyph = new Uint8Array(SIZE * SIZE);
  ink.v.forEach((one, at) => {
    glyph[(top + Math.floor(at / ink.w)) * SIZE + left + (at % ink.w)] = round(one * 255);
  });
  return glyph;
}

function offset(profile) {
  let [sum, moment] = [0, 0];
  profile.forEach((one, at) => {
    sum += one;
    moment += one * at;
  });
  const first = Math.ceil(13.5 - moment / Math.max(sum, 1e-6));
  return Math.min(Math.max(first, 0), SIZE - profile.length);
}

// Twice the area by the length of the edges, grey levels counted.
function strokeWidth(of) {
  const blur = Math.max(of.h, of.w) / 45;
  let ink = padded(of, 4);
  if (blur > 0.6) ink = blurred(ink, blur, 4);
  const { h, w, v } = ink;
  let [area, edges] = [0, 0];
  for (let at = 0; at < v.length; at++) area += v[at];
  for (let y = 0; y < h - 1; y++)
    for (let x = 0; x < w - 1; x++) {
      const at = y * w + x;
      edges += Math.hypot(v[at + w] - v[at], v[at + 1] - v[at]);
    }
  return edges ? (2 * area) / edges : 0;
}

// Gauss, as OpenCV has it: `reach` sigmas each way, mirrored at the edge without repeating it.
function blurred({ h, w, v }, sigma, reach) {
  const half = (round(2 * reach * sigma + 1) | 1) >> 1;
  const kernel = Array.from({ length: 2 * half + 1 }, (_, at) => Math.exp(-((at - half) ** 2) / (2 * sigma * sigma)));
  const total = kernel.reduce((sum, one) => sum + one, 0);
  const mirror = (at, end) => {
    if (end === 1) return 0;
    while (at < 0 || at >= end) at = at < 0 ? -at : 2 * end - 2 - at;
    return at;
  };
  const [between, made] = [image(h, w), image(h, w)];
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      let sum = 0;
      for (let k = -half; k <= half; k++) sum += kernel[k + half] * v[y * w + mirror(x + k, w)];
      between.v[y * w + x] = sum / total;
    }
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      let sum = 0;
      for (let k = -half; k <= half; k++) sum += kernel[k + half] * between.v[mirror(y + k, h) * w + x];
      made.v[y * w + x] = sum / total;
    }
  return made;
}

const square = (size) => Array.from({ length: size }, () => Math.floor(size / 2)); // half widths, row by row

// OpenCV's ellipse in a square of that size.
function disc(size) {
  const r = Math.floor(size / 2);
  return Array.from({ length: size }, (_, at) => round(r * Math.sqrt((r * r - (at - r) ** 2) / (r * r))));
}

// The highest (or lowest) within a shape around each pixel; beyond the picture there is nothing.
function extreme({ h, w, v }, shape, highest) {
  const made = image(h, w);
  const reach = Math.floor(shape.length / 2);
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      let best = highest ? -Infinity : Infinity;
      for (let row = Math.max(0, y - reach); row <= Math.min(h - 1, y + reach); row++) {
        const half = shape[row - y + reach];
        const end = row * w + Math.min(w - 1, x + half);
        for (let at = row * w + Math.max(0, x - half); at <= end; at++)
          if (highest ? v[at] > best : v[at] < best) best = v[at];
      }
      made.v[y * w + x] = best;
    }
  return made;
}

function thickened(of, radius) {
  const whole = Math.floor(Math.abs(radius));
  const part = Math.abs(radius) - whole;
  let ink = padded(of, whole + 1);
  if (whole) ink = extreme(ink, disc(2 * whole + 1), radius > 0);
  const changed = extreme(ink, square(3), radius > 0);
  ink.v = ink.v.map((one, at) => one + part * (changed.v[at] - one));
  const most = ink.v.reduce((a, b) => Math.max(a, b), 0);
  return crop(ink, extent(ink, Math.min(0.3, most / 2)));
}

// Weights of the pixels that each new pixel is made of: means of areas when shrinking, cubic when growing.
function taps(from, to, cubic) {
  const scale = from / to;
  return Array.from({ length: to }, (_, at) => {
    const made = [];
    if (cubic) {
      const place = (at + 0.5) * scale - 0.5;
      const first = Math.floor(place);
      const x = place - first;
      const A = -0.75;
      const one = ((A * (x + 1) - 5 * A) * (x + 1) + 8 * A) * (x + 1) - 4 * A;
      const two = ((A + 2) * x - (A + 3)) * x * x + 1;
      const three = ((A + 2) * (1 - x) - (A + 3)) * (1 - x) * (1 - x) + 1;
      [one, two, three, 1 - one - two - three].forEach((weight, k) =>
        made.push([Math.min(from - 1, Math.max(0, first - 1 + k)), weight]),
      );
      return made;
    }
    const [start, end] = [at * scale, (at + 1) * scale];
    const cell = Math.min(scale, from - start);
    const last = Math.min(Math.floor(end), from - 1);
    const first = Math.min(Math.ceil(start), last);
    if (first - start > 1e-3) made.push([first - 1, (first - start) / cell]);
    for (let x = first; x < last; x++) made.push([x, 1 / cell]);
    if (end - last > 1e-3) made.push([last, Math.min(end - last, 1, cell) / cell]);
    return made;
  });
}

function resized({ h, w, v }, scale) {
  const [high, wide] = [Math.max(1, round(h * scale)), Math.max(1, round(w * scale))];
  const cubic = scale >= 1;
  const between = image(h, wide);
  taps(w, wide, cubic).forEach((row, x) => {
    for (let y = 0; y < h; y++) between.v[y * wide + x] = row.reduce((sum, [at, by]) => sum + by * v[y * w + at], 0);
  });
  const made = image(high, wide);
  taps(h, high, cubic).forEach((column, y) => {
    for (let x = 0; x < wide; x++) {
      const sum = column.reduce((all, [at, by]) => all + by * between.v[at * wide + x], 0);
      made.v[y * wide + x] = Math.min(Math.max(sum, 0), 1);
    }
  });
  return made;
}

// `grey`: Uint8Array of size x size, black on white. {glyph: Uint8Array [784], box}, or null where nothing is drawn.
function glyphOf(grey, size) {
  const ink = image(size, size);
  ink.v = Float32Array.from(grey, (one) => 255 - one);
  const found = strokes(ink);
  if (!found) return null;
  const density = atTheCentre(found);
  let box = extent(density, 0.5);
  if (box.h <= 0) box = extent(density, 0);
  box = extent(density, Math.max(box.h, box.w) <= BOX + 2 ? 0 : 0.3);
  if (Math.max(box.h, box.w) <= 3) return null; // a speck
  return { glyph: fit(crop(density, box)), box };
}

// ---- windows: what stands in the box as it is, for a network that was taught with such ----

const SIZES = [1, 0.87, 1.15];

function windowsOf(grey, size, box) {
  const ink = image(size, size);
  ink.v = Float32Array.from(grey, (one) => 255 - one);
  return SIZES.map((by) =>
    windowOf(ink, box.left + (box.w * (1 - by)) / 2, box.top + (box.h * (1 - by)) / 2, box.w * by, box.h * by),
  );
}

function windowOf(ink, x, y, width, height) {
  const scale = BOX / Math.max(width, height, 1);
  const reach = SIZE / 2 / scale;
  const [middleX, middleY] = [x + width / 2, y + height / 2];
  const [left, top] = [Math.max(0, Math.trunc(middleX - reach) - 1), Math.max(0, Math.trunc(middleY - reach) - 1)];
  const right = Math.min(ink.w, Math.trunc(middleX + reach) + 2);
  const bottom = Math.min(ink.h, Math.trunc(middleY + reach) + 2);
  let part = crop(ink, { top, left, h: bottom - top, w: right - left });
  if (scale < 0.8) {
    part = blurred(part, 0.4 / scale, 3);
    part.v = part.v.map(round);
  }
  const sorted = Float32Array.from(part.v).sort();
  const between = (percent) => {
    const at = ((sorted.length - 1) * percent) / 100;
    const low = Math.floor(at);
    return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
  };
  const [paper, black] = [between(50), between(98)];
  const at = (row, column) =>
    row < 0 || column < 0 || row >= part.h || column >= part.w ? paper : part.v[row * part.w + column];
  const made = new Uint8Array(SIZE * SIZE);
  for (let row = 0; row < SIZE; row++)
    for (let column = 0; column < SIZE; column++) {
      const fromX = (column - (SIZE / 2 - (middleX - left) * scale + (scale - 1) / 2)) / scale;
      const fromY = (row - (SIZE / 2 - (middleY - top) * scale + (scale - 1) / 2)) / scale;
      const [x0, y0] = [Math.floor(fromX), Math.floor(fromY)];
      const [dx, dy] = [fromX - x0, fromY - y0];
      const upper = at(y0, x0) * (1 - dx) + at(y0, x0 + 1) * dx;
      const lower = at(y0 + 1, x0) * (1 - dx) + at(y0 + 1, x0 + 1) * dx;
      const grey = round(upper * (1 - dy) + lower * dy);
      made[row * SIZE + column] = round(Math.min(1, Math.max(0, (grey - paper) / Math.max(black - paper, 12))) * 255);
    }
  return made;
}
