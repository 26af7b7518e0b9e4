const EDGE = { left: 34, right: 296, top: 4, bottom: 266 }; // of the plot, in its own units
const WORDS = { ELS: "the theory (ELS)", network: "the network", IS: "the ideal machine (IS)" };
const state = { network: 0, seed: 0 };
let order = [], over = null, latest = 0;

const one = () => data.networks[state.network];
const across = r => EDGE.left + (EDGE.right - EDGE.left) * (r - data.low) / (1.02 - data.low);
const up = r => EDGE.bottom - (EDGE.bottom - EDGE.top) * (r - data.low) / (1.02 - data.low);
const shape = (kind, at, text) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [key, value] of Object.entries(at)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
};

/** Axes and dots of the network. */
function plot() {
  const { theory, ideal } = one(), ticks = [0, 0.5, 1], line = { stroke: "currentColor", "stroke-width": 1 };
  order = theory.map((r, seed) => seed).sort((a, b) => theory[b] - theory[a]);
  part("plot").replaceChildren(
    shape("path", { d: `M${EDGE.left} ${EDGE.top}V${EDGE.bottom}H${EDGE.right}`, fill: "none", ...line }),
    shape("path", { d: `M${across(data.low)} ${up(data.low)}L${across(1)} ${up(1)}`, ...line, "stroke-opacity": 0.5 }),
    ...ticks.flatMap(r => [
      shape("text", { x: across(r), y: EDGE.bottom + 14, "text-anchor": "middle" }, r),
      shape("text", { x: EDGE.left - 5, y: up(r) + 4, "text-anchor": "end" }, r)]),
    shape("text", { x: (EDGE.left + EDGE.right) / 2, y: 296, "text-anchor": "middle" }, "r of IS with the network"),
    shape("text", { x: 10, y: 135, "text-anchor": "middle", transform: "rotate(-90 10 135)" }, "r of ELS with the network"),
    ...theory.map((r, seed) => shape("circle", { cx: across(ideal[seed]), cy: up(r), r: 3.6, fill: "#3b8fc4", stroke: "#ffffff", "stroke-width": 0.6 })),
    shape("circle", { "data-role": "mark", r: 6.5, fill: "#D55E00", stroke: "#ffffff", "stroke-width": 1.5 }));
}

async function draw() {
  const mine = ++latest, shown = one(), seed = over ?? state.seed, [, h, w] = shown.shape;
  const kinds = Object.keys(shown.sheets), sheets = await Promise.all(kinds.map(kind => decode(shown.sheets[kind])));
  if (mine !== latest) return;
  part("mark").setAttribute("cx", across(shown.ideal[seed]));
  part("mark").setAttribute("cy", up(shown.theory[seed]));
  const r = { ELS: shown.theory[seed], IS: shown.ideal[seed] }, rank = order.indexOf(seed) + 1;
  part("pictures").replaceChildren(...kinds.map((kind, n) => {
    const canvas = document.createElement("canvas"), agrees = kind in r ? `, r\u00a0=\u00a0${r[kind].toFixed(2)}` : "";
    show(canvas, sheets[n], h, w, Math.floor(seed / shown.columns) * h, (seed % shown.columns) * w);
    return captioned(canvas, WORDS[kind] + agrees, `Picture by ${WORDS[kind]} from noise image ${seed}${agrees}`);
  }));
  const what = shown.classes.length ? `, ${shown.classes[seed]}` : "";
  part("said").textContent = `Noise image ${seed}${what}: r is ${r.ELS.toFixed(2)} for the theory (number ${rank} of ${order.length}) and ${r.IS.toFixed(2)} for the ideal machine.` +
    (kinds.includes("IS") ? "" : " What that one draws are training images, and these may not be shown.");
  link(state);
  Object.assign(root.dataset, { network: state.network, seed });
}

/** The seed whose dot is nearest to a pointer. */
function under(event) {
  const box = part("plot").getBoundingClientRect(), { theory, ideal } = one();
  const x = (event.clientX - box.left) / box.width * 300, y = (event.clientY - box.top) / box.height * 300;
  const far = seed => Math.hypot(across(ideal[seed]) - x, up(theory[seed]) - y);
  return order.reduce((best, seed) => (far(seed) < far(best) ? seed : best));
}
function choose(seed) { state.seed = seed; over = null; draw(); }
part("plot").addEventListener("click", event => choose(under(event)));
part("plot").addEventListener("pointermove", event => {
  if (event.pointerType === "touch") return;
  const seed = under(event);
  if (seed !== (over ?? state.seed)) { over = seed; draw(); }
});
part("plot").addEventListener("pointerleave", () => { if (over !== null) { over = null; draw(); } });
part("plot").addEventListener("keydown", event => {
  if (!(event.key in ARROWS)) return;
  event.preventDefault();
  const [down, right] = ARROWS[event.key], rank = order.indexOf(state.seed) + down + right;
  if (order[rank] !== undefined) choose(order[rank]);
});
const RANKS = { best: () => 0, middling: () => order.length >> 1, worst: () => order.length - 1 };
part("ranks").append(...Object.entries(RANKS).flatMap(([name, rank]) => {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
  button.addEventListener("click", () => choose(order[rank()]));
  return [button, " "];
}));
part("network").replaceChildren(...data.networks.map(({ name }, i) => new Option(name, i)));
part("network").addEventListener("change", () => { state.network = +part("network").value; begin(); });

/** Show the network; a seed that it has not, is its best. */
function begin(seed) {
  part("network").value = state.network;
  plot();
  choose(one().theory[seed] === undefined ? order[0] : seed);
}
function restore() {
  const wanted = linked();
  if (wanted && data.networks[wanted.network]) state.network = +wanted.network;
  begin(wanted ? +wanted.seed : undefined);
}
window.addEventListener("hashchange", restore);
restore();
