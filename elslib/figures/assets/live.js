const BORDERS = { ELS: "aware", LS: "fixed", ES: "circular", IS: "fixed" };
const WHOLE = ["ES", "IS"]; // compare whole images
const TOP = 12, last = data.levels.length - 2;
const begun = { machine: "ELS", window: "network", images: Infinity, noise: null, drawing: null, from: 0 };
/** How a set is shown first: its own noise image, and the class that the network drew it as. */
const opening = set => ({ set, seed: data.sets[set].start, class: data.sets[set].seeds[data.sets[set].start].label });
const state = { ...begun, ...opening(Object.keys(data.sets)[0]) };
let worker, ready, run = 0, asked = 0, steps = [], patches = null, waiting = null;

const toPixels = raw => Float32Array.from(raw, value => value / 127.5 - 1); // from -1 to 1
const floats = text => new Float32Array(bytes(text).buffer);

/** The worker, which is made when something is asked of it for the first time. */
function machine() {
  ready ??= (async () => {
    worker = new Worker(URL.createObjectURL(new Blob([part("worker").textContent], { type: "text/javascript" })));
    const started = new Promise((resolve, reject) => {
      worker.onmessage = ({ data: message }) => {
        if (message.kind === "ready") resolve();
        else if (message.kind === "error") { say(`The machine stopped: ${message.text}.`); reject(new Error(message.text)); }
        else heard(message);
      };
      worker.onerror = event => { say("The machine cannot run in this browser."); reject(event); };
    });
    worker.postMessage({ kind: "kernel", bytes: await unzip(data.kernel) });
    await started;
  })();
  return ready;
}

async function load(set) {
  const one = data.sets[set];
  one.loading ??= (async () => {
    const raw = await unzip(one.images);
    one.pixels = toPixels(raw);
    await machine();
    worker.postMessage({ kind: "images", set, pixels: one.pixels, shape: one.shape });
  })();
  return one.loading;
}

const shape = () => data.sets[state.set].shape;
const ofClass = () => {
  const { labels } = data.sets[state.set];
  return labels.flatMap((label, i) => (label === state.class ? [i] : [])).slice(0, state.images);
};
function levels() {
  const own = data.sets[state.set].windows;
  return data.levels.map((level, i) => ({
    ...level,
    window: WHOLE.includes(state.machine) ? null : state.window === "network" ? own[i] ?? 1 : +state.window,
  }));
}

function say(text) { part("said").textContent = text; }
/** What can be done with the estimate now. */
function hint(text) { part("hint").textContent = text; }

async function draw() {
  const one = data.sets[state.set], mine = ++run, [, c, h, w] = one.shape;
  steps = []; patches = waiting = null;
  Object.assign(root.dataset, { state: "drawing", run });
  root.dataset.started = performance.now();
  delete root.dataset.first;
  part("step").disabled = true;
  hint("drawing ...");
  say("");
  part("patches").replaceChildren();
  try { await load(state.set); } catch { return; }
  if (mine !== run) return;
  let x = state.noise === null ? floats(one.seeds[state.seed].noise) : normals(state.noise, c * h * w);
  const from = state.drawing === null ? 0 : state.from;
  if (state.drawing !== null) x = under(toPixels(bytes(state.drawing)), x, data.levels[from]);
  root.start = Array.from(x); // for whoever wants the numbers
  part("step").min = from;
  worker.postMessage({ kind: "draw", run, set: state.set, x, from, chosen: ofClass(), levels: levels(), border: BORDERS[state.machine] });
  controls();
}

function heard(message) {
  if (message.kind === "step" && message.run === run) {
    steps[message.step] = message;
    root.dataset.first ??= (performance.now() - root.dataset.started) / 1000;
    part("step").value = message.step;
    part("step").disabled = false;
    showStep();
  } else if (message.kind === "done" && message.run === run) {
    root.dataset.state = "drawn";
    root.estimate = steps[last].x0; // for whoever wants the numbers
    root.dataset.seconds = (performance.now() - root.dataset.started) / 1000;
    showStep();
    hint("point at a pixel");
    if (!pick.at) say("Point at a pixel of the estimate to see the training patches it is made of.");
  } else if (message.kind === "patches" && message.ask === asked) {
    patches = { ...message.patches, of: waiting };
    waiting = null;
    point();
  }
}

/** Pearson's r of two pictures. */
function pearson(a, b) {
  const mean = x => x.reduce((s, v) => s + v, 0) / x.length, ma = mean(a), mb = mean(b);
  let ab = 0, aa = 0, bb = 0;
  a.forEach((v, i) => { ab += (v - ma) * (b[i] - mb); aa += (v - ma) ** 2; bb += (b[i] - mb) ** 2; });
  return ab / Math.sqrt(aa * bb);
}

function showStep() {
  const step = steps[+part("step").value], one = data.sets[state.set];
  if (!step) return;
  paint(part("noisy"), step.x, one.shape);
  paint(part("theory"), step.x0, one.shape);
  part("seen").textContent = "the noisy picture";
  part("when").textContent = `step ${step.step + 1} of ${last + 1}`;
  const network = state.noise === null && state.drawing === null ? one.seeds[state.seed].picture : null;
  part("network").style.display = network ? "" : "none";
  part("verdict").textContent = "a trained network: press a number above to compare";
  if (network) {
    const drawn = toPixels(bytes(network));
    paint(part("network"), drawn, one.shape);
    const r = steps[last] && pearson(steps[last].x0, drawn);
    part("verdict").textContent = `a trained network${r === undefined ? "" : `; r = ${r.toFixed(2)}`}`;
    root.dataset.r = r ?? "";
  }
  if (pick.at) point();
}

/** Show what the chosen pixel is made of, at the chosen step. */
function point() {
  const step = steps[+part("step").value], [, c, h, w] = shape(), box = part("patches");
  if (!step || !pick.at || root.dataset.state !== "drawn") return;
  const [i, j] = pick.at, level = levels()[step.step];
  mark();
  if (level.window === null) { box.replaceChildren(); return say("This machine compares whole images: every pixel is made of the same ones."); }
  if (patches?.of !== step) {
    if (waiting === step) return;
    waiting = step;
    asked++;
    worker.postMessage({ kind: "patches", ask: asked, set: state.set, x: step.x, chosen: ofClass(), levels: level, border: BORDERS[state.machine], top: TOP });
    return;
  }
  const r = level.window >> 1, first = (i * w + j) * TOP, found = [];
  for (let m = first; m < first + TOP; m++) if (patches.image[m] >= 0) found.push(m);
  const heaviest = patches.weight[first];
  const enough = found.filter(m => patches.weight[m] > 0.001);
  say(`Row ${i + 1}, column ${j + 1}: its window of ${level.window} x ${level.window} pixels fits ` +
    (heaviest > 0.99 ? "one training patch." : `several training patches; the likeliest counts ${percent(heaviest)}.`));
  box.replaceChildren(...enough.map(m => thumbnail(patches.image[m], Math.floor(patches.at[m] / w), patches.at[m] % w, r, patches.weight[m])));
}

function thumbnail(image, row, column, r, weight) {
  const one = data.sets[state.set], [, c, h, w] = one.shape, canvas = document.createElement("canvas");
  paint(canvas, one.pixels, one.shape, image * c * h * w);
  frame(canvas, row, column, r);
  return captioned(canvas, percent(weight),
    `Training image ${image}, patch around row ${row + 1}, column ${column + 1}, weight ${percent(weight)}`);
}

/** The chosen pixel and its window, on the estimate. */
function mark() {
  const step = steps[+part("step").value], level = levels()[step.step];
  paint(part("theory"), step.x0, shape());
  frame(part("theory"), ...pick.at, (level.window ?? 1) >> 1);
}

/** Fill the choices, and show what is chosen. */
function controls() {
  const one = data.sets[state.set], most = one.labels.filter(label => label === state.class).length;
  fillSelect("set", Object.keys(data.sets).map(name => [name, name]), state.set);
  fillSelect("class", one.classes.map((name, i) => [i, name]), state.class);
  const sides = [["network", "as the network's"], ...Array.from({ length: 8 }, (_, i) => [2 * i + 3, `${2 * i + 3} pixels`])];
  fillSelect("window", sides, state.window);
  part("machine").value = state.machine;
  part("window").disabled = WHOLE.includes(state.machine);
  part("images").max = most;
  part("images").value = Math.min(state.images, most);
  part("count").textContent = part("images").value;
  part("seeds").replaceChildren(...one.seeds.map((seed, i) => {
    const button = document.createElement("button");
    button.type = "button";
    const number = document.createElement("b");
    number.textContent = i + 1;
    button.append(number, ` ${one.classes[seed.label]}`);
    button.setAttribute("aria-pressed", state.noise === null && state.drawing === null && state.seed === i);
    button.addEventListener("click", () => { Object.assign(state, { noise: null, drawing: null, seed: i, class: seed.label }); draw(); });
    return button;
  }));
  const { images, ...rest } = state, asText = { ...rest, ...(images < most ? { images } : {}) };
  if (state.noise === null) delete asText.noise; else delete asText.seed;
  if (state.drawing === null) { delete asText.drawing; delete asText.from; }
  link(asText);
}

function fillSelect(name, options, chosen) {
  part(name).replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  part(name).value = chosen;
}

function choose(name, change) {
  part(name).addEventListener("change", () => { change(part(name).value); draw(); });
}
choose("set", value => { Object.assign(state, { ...opening(value), noise: null, drawing: null, images: Infinity }); pick.clear(); board.clear(); });
choose("class", value => {
  state.class = +value;
  // A network drew each noise as one class; another class of the same noise has no answer of its.
  if (state.noise === null && data.sets[state.set].seeds[state.seed].label !== state.class) state.noise = fresh();
});
choose("machine", value => { state.machine = value; });
choose("window", value => { state.window = value; });
choose("images", value => { state.images = +value; });
part("images").addEventListener("input", () => { part("count").textContent = part("images").value; });
part("draw").addEventListener("click", () => { Object.assign(state, { noise: fresh(), drawing: null }); draw(); });
part("step").addEventListener("input", showStep);

const pick = picker([part("theory")], part("theory"), () => shape().slice(2), () => { if (steps.length) showStep(); });

/** What a link says, if it is one to this figure; of what it does not name, the figure's beginning. */
function restore() {
  // Text beside the figure does not know its number: "#live?..." is the one figure of the page.
  const [kind, query] = location.hash.split("?"), words = kind === "#live" && query ? new URLSearchParams(query) : null;
  const wanted = linked() ?? (words && Object.fromEntries(words)), set = wanted?.set ?? Object.keys(data.sets)[0];
  if (!wanted || !(set in data.sets)) return false;
  Object.assign(state, begun, opening(set));
  for (const [key, value] of Object.entries(wanted)) {
    if (key in state) state[key] = ["set", "machine", "window", "drawing"].includes(key) ? value : +value;
  }
  if (!(state.machine in BORDERS) || !data.sets[state.set].classes[state.class]) return false;
  if (state.noise === null && !data.sets[state.set].seeds[state.seed]) return false;
  if (!(state.from >= 0 && state.from <= last)) return false;
  if (state.noise === null && !("class" in wanted)) state.class = data.sets[state.set].seeds[state.seed].label;
  return state.drawing === null || board.restore(state.drawing);
}

/** Before anything runs: what the library drew from the first noise, and what the network did. */
function still() {
  const one = data.sets[state.set], first = one.seeds[state.seed];
  controls();
  paint(part("noisy"), floats(first.noise), one.shape);
  paint(part("theory"), toPixels(bytes(first.theory)), one.shape);
  paint(part("network"), toPixels(bytes(first.picture)), one.shape);
  say("Press a number, and the formula draws from that noise, here in your browser. Above stands one that it drew before.");
}

function follow() {
  if (!restore()) return false;
  root.scrollIntoView();
  draw();
  return true;
}
window.addEventListener("hashchange", follow);
window.addEventListener("pagehide", () => { worker?.terminate(); ready = worker = undefined; for (const one of Object.values(data.sets)) delete one.loading; });
if (!follow()) still();
