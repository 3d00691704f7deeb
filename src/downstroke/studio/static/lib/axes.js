// Axes. `at` gives the place of a value on the axis, null where it has none; `range` and `ticks` are such places, and
// `words` stand at the ticks.

import { number } from "./format.js";

const NOTHING = { at: (value) => value, range: [0, 1], ticks: [], words: [] };
const seenOf = (values, low) => values.filter((value) => Number.isFinite(value) && value > low);

export function linearAxis(low, high, most = 6, least = 0) {
  const rough = Math.max((high - low) / most, least);
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * unit).find((one) => one >= 0.999 * rough);
  const first = Math.ceil(low / step - 1e-6);
  const steps = Array.from({ length: Math.floor(high / step + 1e-6) - first + 1 }, (_, index) => first + index);
  const ticks = steps.map((n) => Number((n * step).toPrecision(12)));
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-6));
  const written = (value) => (digits > 4 || value >= 1e5 ? number(value) : value.toFixed(digits));
  return { at: (value) => value, range: [low, high], ticks, words: ticks.map(written) };
}

export const logAxis = (low, high, ticks) => ({
  at: (value) => (value > 0 ? Math.log10(value) : null),
  range: [Math.log10(low), Math.log10(high)],
  ticks: ticks.map(Math.log10),
  words: ticks.map(number),
});

// From 0 to `last`, in whole epochs; `room` is the width in letters.
export const epochAxis = (last, room) => linearAxis(0, 1.02 * last, Math.min(11, Math.ceil(room / 5)), 1);

// Logarithmic where the values span more than a factor `from`; else from zero, unless they barely move.
export function lossAxis(values, from = 10, most = 6) {
  const seen = seenOf(values, 0);
  if (!seen.length) return { ...NOTHING, range: [0, 2.5] };
  const low = seen.reduce((least, value) => Math.min(least, value));
  const high = seen.reduce((largest, value) => Math.max(largest, value));
  if (high > from * low) {
    const pad = (high / low) ** 0.06;
    return logAxis(low / pad, high * pad, logTicks(low / pad, high * pad, most));
  }
  const pad = 0.08 * (high - low) || 0.05 * high || 1;
  return linearAxis(low < high / 1.5 ? 0 : low - pad, high + pad, most);
}

export function logTicks(low, high, most = 6, few = [1, 3]) {
  const decades = [];
  for (let d = Math.floor(Math.log10(low)); d <= Math.ceil(Math.log10(high)); d += 1) decades.push(d);
  for (const digits of [[1, 1.5, 2, 3, 4, 5, 6, 8], [1, 2, 5], few, [1]]) {
    const ticks = decades.flatMap((d) => digits.map((n) => Number(`${n}e${d}`))).filter((t) => t >= low && t <= high);
    if (ticks.length >= 2 && ticks.length <= most) return ticks;
  }
  return decades.map((d) => Number(`1e${d}`)).filter((t) => t >= low && t <= high);
}

const ROUND = [1];
for (let d = -1; d >= -9; d -= 1) ROUND.push(...[5, 2, 1].map((n) => Number(`${n}e${d}`)));

// Logarithmic in the errors, between round numbers, as in the pictures of the command line: 99.0% and 99.5% are as far
// apart as they matter. There is no 100% on such an axis: half of the fewest errors on it stands for none.
export function accuracyAxis(values) {
  const seen = seenOf(values, -1);
  if (!seen.length) return NOTHING;
  const errors = seen.map((value) => 1 - value).filter((error) => error > 0);
  const most = ROUND.findLast((step) => step >= 0.999 * Math.max(0, ...errors) && step >= (errors.length ? 0 : 0.02));
  const fewest = ROUND.find((step) => step <= 1.001 * Math.min(1, ...errors)) ?? ROUND.at(-1);
  const least = Math.min(errors.length ? fewest : 0.01, most / 5);
  const perfect = seen.some((value) => value >= 1);
  const floor = perfect ? least / 2 : least;
  const at = (error) => -Math.log10(error);
  const pad = 0.12 * (at(floor) - at(most)); // a mark at either end stays whole
  const ticks = logTicks(0.999 * least, 1.001 * most, 4, [1, 5]).reverse();
  const written = (error) => `${Number((100 * (1 - error)).toFixed(6))}%`;
  return {
    at: (value) => (Number.isFinite(value) ? at(Math.max(1 - value, floor)) : null),
    range: [at(most) - pad, at(floor) + pad],
    ticks: [...ticks.map(at), ...(perfect ? [at(floor)] : [])],
    words: [...ticks.map(written), ...(perfect ? ["100%"] : [])],
  };
}
