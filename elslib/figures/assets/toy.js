// The machine of two images, black (-1) and white (1), with windows of 3 x 3 that wrap: the posterior
// mean of a pixel is tanh(alpha S / sigma^2), where S is the sum over its window.
const { side } = data, choices = Object.keys(data.levels.equal).map(Number).sort((a, b) => a - b);
const FAULT = [213, 94, 0]; // orange: against most of its window
const REST = 0.6; // a step of a picture without noise: how much is left of the way to its window's colour
const state = { seed: null, n: choices[+part("steps").value], grid: "equal" };
// x: the noisy picture; k: steps taken, the levels' number when it is finished; x0: last estimate.
let x, k, x0, timer = 0;

function windowSums(values) {
  const sums = new Float64Array(side * side);
  for (let i = 0; i < side; i++) for (let j = 0; j < side; j++)
    for (let down = side - 1; down <= side + 1; down++) for (let right = side - 1; right <= side + 1; right++)
      sums[i * side + j] += values[(i + down) % side * side + (j + right) % side];
  return sums;
}
const estimate = (values, [alpha, sigma]) => windowSums(values).map(sum => Math.tanh(alpha * sum / sigma ** 2));
const black = values => Array.from(values, value => (value > 0 ? 1 : -1));
/** Which pixels of a black and white picture disagree with most of their window. */
function faults(picture) {
  const sums = windowSums(picture);
  return picture.map((value, i) => value * sums[i] < 0);
}

const levels = (n = state.n) => data.levels[state.grid][n];
/** One step of the sampler (DDIM) from level k; the last one ends without noise. */
function stepped(values, k, all) {
  const mean = estimate(values, all[k]), [alpha, sigma] = all[k], next = all[k + 1] ?? [1, 0];
  return { mean, x: mean.map((m, i) => next[0] * m + next[1] * (values[i] - alpha * m) / sigma) };
}
function finished(values, all) {
  for (let k = 0; k < all.length; k++) values = stepped(values, k, all).x;
  return values;
}

function noise() {
  return state.seed === null ? new Float64Array(bytes(data.noise).buffer) : Float64Array.from(normals(state.seed, side * side));
}
function begin() {
  stop();
  x = noise(); k = 0; x0 = null;
  draw();
  row();
}

/** One step; of a finished picture, one towards what its windows say, as the flow goes on without noise. */
function step() {
  if (k < levels().length) ({ x, mean: x0 } = stepped(x, k, levels()));
  else { const sums = windowSums(x); x = x.map((value, i) => REST * value + (1 - REST) * Math.sign(sums[i])); }
  k++;
  draw();
}
const resting = () => !faults(black(x)).some(Boolean);
function run() {
  stop();
  if (k >= levels().length && resting()) begin();
  const ends = () => k >= levels().length && (k === levels().length || resting() || k > levels().length + 60);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    do step(); while (!ends());
    return;
  }
  timer = setInterval(() => { step(); if (ends()) stop(); }, Math.min(150, 2000 / state.n));
  part("run").textContent = "pause";
}
function stop() {
  clearInterval(timer);
  timer = 0;
  part("run").textContent = "run";
}

/** A black and white picture on a canvas, its faults in orange. */
function lit(canvas, picture) {
  const wrong = faults(picture), planes = new Float32Array(3 * side * side);
  picture.forEach((value, i) => FAULT.forEach((shade, ch) => {
    planes[ch * side * side + i] = wrong[i] ? shade / 127.5 - 1 : value;
  }));
  paint(canvas, planes, [3, side, side]);
  return wrong.filter(Boolean).length;
}
const counted = n => (n === 1 ? "1 pixel is" : `${n || "no"} pixels are`);

function draw() {
  const all = levels(), over = k >= all.length;
  const shown = black(over ? x : estimate(x, all[k]));
  paint(part("noisy"), x, [1, side, side]);
  const n = lit(part("picture"), shown);
  if (pick.at) for (const name of ["noisy", "picture"]) frame(part(name), ...pick.at, 1, "#0072B2", true);
  part("when").textContent = over ? (k === all.length ? "finished: no noise is left" : `going on without noise, ${k - all.length} steps`)
    : `the noisy picture after ${k} of ${all.length} steps`;
  part("tally").textContent = `${over ? "the picture" : "what it looks like through the windows"}: ${counted(n)} against the majority`;
  say(shown);
  part("count").textContent = state.n;
  const { seed, ...rest } = state;
  link(seed === null ? rest : state);
  root.estimate = Array.from(x); // for whoever wants the numbers
  Object.assign(root.dataset, { step: k, faults: n, steps: state.n });
}
function say(shown) {
  if (!pick.at) { part("said").textContent = "Click on a pixel to turn it over; orange pixels go against most of the nine in their window."; return; }
  const [i, j] = pick.at, at = i * side + j, white = Math.round((windowSums(shown)[at] + 9) / 2);
  const own = shown[at] > 0, agrees = own === white > 4;
  part("said").textContent = `Row ${i + 1}, column ${j + 1} is ${own ? "white" : "black"}, and ${white} of the 9 pixels in its window are white: it ${agrees ? "agrees, and may stay" : "goes against them, and will turn over"}.`;
}

/** The finished pictures of this noise, for each number of steps. */
function row() {
  part("row").replaceChildren(...choices.map(n => {
    const canvas = document.createElement("canvas"), wrong = lit(canvas, black(finished(noise(), levels(n))));
    return captioned(canvas, `${n} steps: ${wrong}`, `After ${n} steps ${counted(wrong)} against the majority of their window`);
  }));
}

const pick = picker(["noisy", "picture"].map(part), part("panels"), () => [side, side], () => draw());
function turn() {
  if (!pick.at) return;
  stop();
  const at = pick.at[0] * side + pick.at[1];
  // What a window makes of it depends on its brightness: a pixel that is nearly grey gets a colour.
  x = x.map((value, i) => (i === at ? (value > 0 ? -1 : 1) * Math.max(Math.abs(value), 1) : value));
  draw();
}
for (const name of ["noisy", "picture"]) part(name).addEventListener("click", turn);
part("panels").addEventListener("keydown", event => {
  if (event.key !== " " && event.key !== "Enter") return;
  event.preventDefault();
  turn();
});
part("run").addEventListener("click", () => (timer ? stop() : run()));
part("step").addEventListener("click", () => { stop(); step(); });
part("again").addEventListener("click", begin);
part("fresh").addEventListener("click", () => { state.seed = fresh(); begin(); });
part("steps").addEventListener("input", () => { state.n = choices[+part("steps").value]; begin(); });
part("grid").addEventListener("change", () => { state.grid = part("grid").value; begin(); });

function restore() {
  const wanted = linked();
  if (wanted && choices.includes(+wanted.n) && wanted.grid in data.levels) {
    Object.assign(state, { n: +wanted.n, grid: wanted.grid, seed: "seed" in wanted ? Number(wanted.seed) : null });
    part("steps").value = choices.indexOf(state.n);
    part("grid").value = state.grid;
  }
  begin();
}
window.addEventListener("hashchange", restore);
restore();
