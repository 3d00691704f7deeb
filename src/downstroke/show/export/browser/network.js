// y = f(W, x) for one glyph: a row of steps, each from one array of channels [C][H][W] to the next.

class Network {
  // `facts`: steps with where their weights begin in `weights`, a Float32Array; temperature, threshold, pixels.
  constructor(facts, weights) {
    Object.assign(this, facts);
    this.steps = facts.steps.map((step) => {
      const own = { ...step };
      for (const [name, { at, shape }] of Object.entries(step.weights)) {
        const count = shape.reduce((all, one) => all * one, 1);
        own[name] = weights.subarray(at, at + count);
        own[`${name}Shape`] = shape;
      }
      return own;
    });
  }

  // Uint8Array [784], ink high on zero -> logits.
  logits(glyph) {
    let x = { c: 1, h: 28, w: 28, v: Float32Array.from(glyph, (one) => (one / 255) * this.pixelScale + this.pixelShift) };
    for (const step of this.steps) x = STEPS[step.kind](x, step);
    return x.v.map((one) => one / this.temperature);
  }
}

// Of several looks at one digit the mean logits say which it is, and the look that is second most like a digit whether
// it is one: `of_looks` in reading/refusal.py.
function ofLooks(every) {
  const mean = every[0].map((_, at) => every.reduce((sum, one) => sum + one[at], 0) / every.length);
  if (every.length < 3) return mean;
  const second = every.map(score).sort((one, other) => other - one)[1];
  const off = second - score(mean);
  return mean.map((one) => one + off);
}

function softmax(logits) {
  const most = Math.max(...logits);
  const y = Array.from(logits, (one) => Math.exp(one - most));
  const sum = y.reduce((all, one) => all + one, 0);
  return y.map((one) => one / sum);
}

// How much a glyph is like a digit.
function score(logits) {
  const most = Math.max(...logits);
  return most + Math.log(logits.reduce((sum, one) => sum + Math.exp(one - most), 0));
}

const STEPS = {
  convolve({ c, h, w, v }, { weight, weightShape, bias, stride, padding }) {
    const [out, , size] = weightShape;
    const [tall, wide] = [h + 2 * padding, w + 2 * padding];
    const around = new Float32Array(c * tall * wide);
    for (let i = 0; i < c; i++)
      for (let y = 0; y < h; y++)
        around.set(v.subarray((i * h + y) * w, (i * h + y + 1) * w), (i * tall + y + padding) * wide + padding);
    const [high, long] = [Math.floor((tall - size) / stride) + 1, Math.floor((wide - size) / stride) + 1];
    const made = new Float32Array(out * high * long);
    for (let o = 0; o < out; o++) {
      const own = made.subarray(o * high * long, (o + 1) * high * long).fill(bias[o]);
      for (let i = 0; i < c; i++)
        for (let ky = 0; ky < size; ky++)
          for (let kx = 0; kx < size; kx++) {
            const by = weight[((o * c + i) * size + ky) * size + kx];
            for (let y = 0; y < high; y++) {
              const from = (i * tall + y * stride + ky) * wide + kx;
              for (let x = 0; x < long; x++) own[y * long + x] += by * around[from + x * stride];
            }
          }
    }
    return { c: out, h: high, w: long, v: made };
  },

  multiply({ v }, { weight, weightShape: [out, length], bias }) {
    const made = Float32Array.from(bias);
    for (let o = 0; o < out; o++) {
      let sum = 0;
      for (let i = 0; i < length; i++) sum += weight[o * length + i] * v[i];
      made[o] += sum;
    }
    return { c: out, h: 1, w: 1, v: made };
  },

  relu: (x) => ({ ...x, v: x.v.map((one) => (one > 0 ? one : 0)) }),

  scale: ({ c, h, w, v }, { factor, shift }) => ({
    ...{ c, h, w },
    v: v.map((one, at) => one * factor[Math.floor(at / (h * w))] + shift[Math.floor(at / (h * w))]),
  }),

  pool({ c, h, w, v }, { size }) {
    const [high, long] = [Math.floor(h / size), Math.floor(w / size)];
    const made = new Float32Array(c * high * long).fill(-Infinity);
    for (let i = 0; i < c; i++)
      for (let y = 0; y < high * size; y++)
        for (let x = 0; x < long * size; x++) {
          const to = (i * high + Math.floor(y / size)) * long + Math.floor(x / size);
          made[to] = Math.max(made[to], v[(i * h + y) * w + x]);
        }
    return { c, h: high, w: long, v: made };
  },

  unshuffle({ c, h, w, v }, { size }) {
    const [high, long] = [h / size, w / size];
    const made = new Float32Array(v.length);
    for (let i = 0; i < c; i++)
      for (let y = 0; y < h; y++)
        for (let x = 0; x < w; x++) {
          const channel = (i * size + (y % size)) * size + (x % size);
          made[(channel * high + Math.floor(y / size)) * long + Math.floor(x / size)] = v[(i * h + y) * w + x];
        }
    return { c: c * size * size, h: high, w: long, v: made };
  },

  flatten: ({ v }) => ({ c: v.length, h: 1, w: 1, v }),

  rows({ c, h, w, v }) {
    const made = new Float32Array(v.length);
    for (let i = 0; i < c; i++) for (let at = 0; at < h * w; at++) made[at * c + i] = v[i * h * w + at];
    return { c: v.length, h: 1, w: 1, v: made };
  },
};
