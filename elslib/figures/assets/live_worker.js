// The machines, in a worker: the library's own kernel, compiled to WebAssembly, and the few lines
// around it. It draws step by step, and says of each pixel which patches it is made of.
"use strict";
const BORDERS = { fixed: 0, circular: 1, aware: 2 };
const PRECISION = 17; // patches left out weigh less than 2^-17 of the sum, as in posterior/cpu.py
let kernel, newest = 0;

/** Memory of the kernel for `length` numbers, filled with zeros or another value. */
function allocate(Type, length, value = 0) {
  const at = kernel.malloc(Math.max(length, 1) * Type.BYTES_PER_ELEMENT);
  if (!at) throw new Error("not enough memory for so many images");
  const array = () => new Type(kernel.memory.buffer, at, length); // memory may have moved
  array().fill(value);
  return { at, array };
}

/** Training images, [n, c, h, w] from -1 to 1, and room for what the kernel answers about one x. */
class Images {
  constructor(pixels, [n, c, h, w]) {
    Object.assign(this, { n, c, h, w, size: c * h * w, rooms: {} });
    this.pixels = allocate(Float32Array, n * this.size);
    this.pixels.array().set(pixels);
    this.order = allocate(BigInt64Array, n, 0n);
    this.x = allocate(Float32Array, this.size);
    this.problem = allocate(Int32Array, 12);
    this.sums = allocate(Uint32Array, 10); // no evidence of single images
  }

  room(top) {
    const { h, w, c } = this;
    return this.rooms[top] ??= [
      allocate(Float32Array, h * w), allocate(Float32Array, h * w), allocate(Float64Array, h * w),
      allocate(Float64Array, h * w), allocate(Float64Array, h * w * c),
      allocate(Float32Array, h * w * top), allocate(BigInt64Array, h * w * top, 0n),
    ];
  }

  /** Posterior mean [c, h, w] at x, and for `top` > 0 the likeliest patches of each pixel. */
  posterior(x, chosen, { alpha, sigma, window }, border, top = 0) {
    if (window === null) return { mean: this.whole(x, chosen, alpha, sigma, border === "circular") };
    const { h, w, c } = this, r = window >> 1, room = this.room(top);
    const [runningMin, limit, normalizer, entropy, accumulator, energy, place] = room;
    for (const part of [runningMin, limit, energy]) part.array().fill(Infinity);
    for (const part of [normalizer, entropy, accumulator]) part.array().fill(0);
    const inner = side => (border === "aware" ? Math.max(side - 2 * r, 1) : border === "fixed" ? 1 : side);
    const s = Math.sqrt(Math.LOG2E / 2) / sigma;
    const slack = Math.log2(chosen.length * inner(h) * inner(w)) + PRECISION;
    const problem = this.problem.array();
    problem.set([h, w, c, window, 1, window, BORDERS[border], 1, top]);
    new Float32Array(kernel.memory.buffer, this.problem.at + 36, 3).set([s, s * alpha, slack]);
    this.sums.array().set(room.map(part => part.at));
    this.order.array().set(Array.from(chosen, BigInt));
    this.x.array().set(x);
    const outcome = kernel.posterior_sums(
      this.problem.at, this.pixels.at, this.order.at, BigInt(chosen.length), this.x.at, 1n, this.sums.at);
    if (outcome) throw new Error("the images cannot be summed");
    const mean = new Float32Array(this.size), z = normalizer.array(), a = accumulator.array();
    for (let i = 0; i < h * w; i++)
      for (let ch = 0; ch < c; ch++) mean[ch * h * w + i] = a[i * c + ch] / z[i];
    if (!top) return { mean };
    const energies = energy.array(), places = place.array(), least = runningMin.array();
    const patches = { top, image: new Int32Array(h * w * top), at: new Int32Array(h * w * top), weight: new Float32Array(h * w * top) };
    for (let i = 0; i < h * w * top; i++) {
      const pixel = Math.floor(i / top), where = Number(places[i]);
      patches.image[i] = energies[i] < Infinity ? Math.floor(where / (h * w)) : -1;
      patches.at[i] = where % (h * w);
      patches.weight[i] = 2 ** (least[pixel] - energies[i]) / z[pixel];
    }
    return { mean, patches };
  }

  /** Whole images compared, at their own place or at every cyclic shift. */
  whole(x, chosen, alpha, sigma, shifts) {
    const { h, w, size } = this, all = this.pixels.array(), found = [];
    for (const n of chosen) {
      const p = all.subarray(n * size, (n + 1) * size);
      for (let di = 0; di < (shifts ? h : 1); di++)
        for (let dj = 0; dj < (shifts ? w : 1); dj++) {
          let sum = 0;
          for (let row = 0; row < size; row += w) { // rows of all channels
            const channel = row - row % (h * w), from = channel + (row % (h * w) + di * w) % (h * w);
            for (let j = 0, k = dj; j < w; j++, k = k + 1 === w ? 0 : k + 1) {
              const d = x[row + j] - alpha * p[from + k];
              sum += d * d;
            }
          }
          found.push([sum / (2 * sigma * sigma), p, di, dj]);
        }
    }
    const least = found.reduce((m, [e]) => Math.min(m, e), Infinity), mean = new Float64Array(size);
    let total = 0;
    for (const [e, p, di, dj] of found) {
      const weight = Math.exp(least - e);
      if (weight < 1e-9) continue;
      total += weight;
      for (let row = 0; row < size; row += w) {
        const channel = row - row % (h * w), from = channel + (row % (h * w) + di * w) % (h * w);
        for (let j = 0; j < w; j++) mean[row + j] += weight * p[from + (j + dj) % w];
      }
    }
    return Float32Array.from(mean, value => value / total);
  }
}

const sets = {};

/** From x at the level `from` to a picture (DDIM): each step is told, unless something newer was asked for. */
async function draw({ run, set, x, from, chosen, levels, border }) {
  newest = run;
  for (let step = from; step + 1 < levels.length; step++) {
    const { mean } = sets[set].posterior(x, chosen, levels[step], border);
    postMessage({ kind: "step", run, step, x, x0: mean });
    const { alpha, sigma } = levels[step], next = levels[step + 1];
    x = x.map((value, i) => next.alpha * mean[i] + next.sigma * (value - alpha * mean[i]) / sigma);
    await new Promise(resolve => setTimeout(resolve)); // hear of newer wishes
    if (newest !== run) return;
  }
  postMessage({ kind: "done", run });
}

onmessage = async ({ data }) => {
  try {
    if (data.kind === "kernel") {
      kernel = (await WebAssembly.instantiate(data.bytes)).instance.exports;
      kernel._initialize();
      postMessage({ kind: "ready" });
    } else if (data.kind === "images") {
      sets[data.set] ??= new Images(data.pixels, data.shape);
    } else if (data.kind === "draw") {
      await draw(data);
    } else if (data.kind === "patches") {
      const { patches } = sets[data.set].posterior(data.x, data.chosen, data.levels, data.border, data.top);
      postMessage({ kind: "patches", ask: data.ask, patches });
    }
  } catch (error) {
    postMessage({ kind: "error", text: String(error.message ?? error) });
  }
};
