// Numbers as the plots of the command line write them.

const NONE = "–";

// Three significant digits, as short as they go: 0.0352, 12, 1.5e-4.
export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(3)));
  const [mantissa, exponent] = value.toExponential(2).split("e");
  return `${Number(mantissa)}e${Number(exponent)}`;
}

// A loss keeps its width while it changes: four decimals below 1.
export function loss(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  return Math.abs(value) < 1 && (value === 0 || Math.abs(value) >= 0.001) ? value.toFixed(4) : number(value);
}

// A share in 0..1; 100% is said of 1 alone, 0% of 0 alone.
export function percent(value, decimals = 2) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (value === 0 || value === 1) return `${100 * value}%`;
  const least = 10 ** -decimals; // percent
  if (100 * value < least / 2) return `<${least}%`;
  if (100 * (1 - value) < least / 2) return `>${100 - least}%`;
  return `${(100 * value).toFixed(decimals)}%`;
}

export const count = (value) => (value === null || value === undefined ? NONE : Math.round(value).toLocaleString("en"));

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  const rest = Math.round(seconds) % 60;
  return minutes < 60 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const several = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

export const words = (name) => name.replaceAll("_", " ");
