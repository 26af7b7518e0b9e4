const { times, windows, ranks } = data, LEAST = Math.log(1e-6), FAR = Math.log(ranks.at(-1));
const state = { subject: 0, time: Math.floor(times.length / 2), window: 0 };
let latest = 0;

const shape = (kind, at) => {
  const one = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [key, value] of Object.entries(at)) one.setAttribute(key, value);
  return one;
};
const column = i => 100 * i / times.length, line = k => 100 * (windows.length - 1 - k) / windows.length;
const middle = (i, k) => ({ x: column(i + 0.5), y: line(k - 0.5) });
const named = side => (side === null ? "the whole image" : `${side} x ${side} pixels`);

/** The map, drawn once; its dot moves. */
const dot = shape("ellipse", { fill: "#ffffff", stroke: "#000000", "stroke-width": 3, "vector-effect": "non-scaling-stroke", rx: 3.4, ry: 3.4 });
function map() {
  const cells = data.colours.flatMap((row, k) => row.map((fill, i) =>
    shape("rect", { x: column(i), y: line(k), width: 100 / times.length + 0.2, height: 100 / windows.length + 0.2, fill })));
  const path = data.path.map((k, i) => { const at = middle(i, k); return `${at.x},${at.y}`; }).join(" ");
  const look = { points: path, fill: "none", "stroke-linejoin": "round", "vector-effect": "non-scaling-stroke" };
  part("map").replaceChildren(...cells,
    shape("polyline", { ...look, stroke: "#000000", "stroke-width": 5 }),
    shape("polyline", { ...look, stroke: "#E69F00", "stroke-width": 3 }), dot);
}

/** Where a rank and a weight lie among the weights, with room for the axes' numbers at the left and below. */
const across = rank => 19 + 77 * Math.log(rank) / FAR, down = log => 4 + 83 * Math.min(log / LEAST, 1.1);
function axes() {
  const line = (x1, y1, x2, y2) => shape("line", { x1, y1, x2, y2, stroke: "#808080", "stroke-width": 0.4 });
  const number = (text, at) => {
    const one = shape("text", { ...at, "font-size": 5.5, fill: "currentColor" });
    one.textContent = text;
    return one;
  };
  const weights = [[1, "100 %"], [1e-2, "1 %"], [1e-4, "0.01 %"]].map(([weight, text]) => [down(Math.log(weight)), text]);
  return [
    ...weights.map(([y]) => line(19, y, 96, y)),
    ...weights.map(([y, text]) => number(text, { x: 17.5, y: y + 2, "text-anchor": "end" })),
    ...[1, 10, 100, 1000].map(rank => number(rank.toLocaleString("en"), { x: Math.min(across(rank), 91), y: 98, "text-anchor": "middle" })),
  ];
}

function cloud(cell) {
  const dots = cell.log.map((log, m) => shape("ellipse", {
    cx: across(ranks[m]), cy: down(log), rx: m ? 1.4 : 2.6, ry: m ? 1.4 : 2.6, fill: m ? "#3b8fc4" : "#D55E00" }));
  part("cloud").replaceChildren(...axes(), ...dots);
}

async function draw() {
  const mine = ++latest, one = data.subjects[state.subject], [, h, w] = one.shape;
  const [noisy, sheet] = await Promise.all([one.noisy[state.time], one.sources].map(decode));
  if (mine !== latest) return;
  const side = windows[state.window], cell = one.cells[state.window][state.time], r = side === null ? h : side >> 1;
  show(part("noisy"), noisy, h, w);
  frame(part("noisy"), ...one.at, r, "#E69F00");
  frame(part("noisy"), ...one.at, 0);
  const at = middle(state.time, state.window);
  dot.setAttribute("cx", at.x);
  dot.setAttribute("cy", at.y);
  cloud(cell);
  patches(one, cell, side ?? h, sheet);
  const t = times[state.time], many = cell.number < 10 ? cell.number.toFixed(1) : Math.round(cell.number).toLocaleString("en");
  part("t").textContent = `t = ${t}`;
  part("side").textContent = side === null ? "whole" : side;
  part("time").setAttribute("aria-valuetext", `t = ${t}`);
  part("window").setAttribute("aria-valuetext", named(side));
  const kind = side === null ? "images" : "patches", all = cell.count.toLocaleString("en");
  part("said").textContent = cell.number < 2
    ? `Of ${all} ${kind} one has won: with ${named(side)} at t = ${t} this pixel is memorised (${many} effectively in play).`
    : `Of ${all} ${kind} some ${many} are effectively in play: with ${named(side)} at t = ${t} this pixel is undecided.`;
  link(state);
  Object.assign(root.dataset, { ...state, number: cell.number });
}

/** The likeliest patches, as large as they count. */
function patches(one, cell, side, sheet) {
  const [, h, w] = one.shape;
  part("patches").replaceChildren(...cell.best.flatMap(([image, top, left], m) => {
    const weight = Math.exp(cell.log[m]), canvas = document.createElement("canvas");
    if (weight < 0.002 && cell.log[0] > Math.log(0.05)) return [];
    show(canvas, sheet, side, side, Math.floor(image / one.columns) * h + top, (image % one.columns) * w + left);
    const figure = captioned(canvas, percent(weight), `Patch of training image ${image}, weight ${percent(weight)}`);
    figure.style.width = `${2.6 + 5 * Math.sqrt(weight)}rem`;
    return [figure];
  }));
}

part("subject").replaceChildren(...data.subjects.map((one, i) => new Option(one.name, i)));
for (const name of ["subject", "time", "window"])
  part(name).addEventListener("input", () => { state[name] = +part(name).value; draw(); });
part("map").addEventListener("click", event => {
  const box = part("map").getBoundingClientRect(), cut = (value, n) => Math.min(Math.max(Math.floor(value * n), 0), n - 1);
  state.time = cut((event.clientX - box.left) / box.width, times.length);
  state.window = windows.length - 1 - cut((event.clientY - box.top) / box.height, windows.length);
  controls();
  draw();
});
function controls() { for (const [name, value] of Object.entries(state)) part(name).value = value; }

function restore() {
  for (const [name, value] of Object.entries(linked() ?? {})) {
    const most = { subject: data.subjects, time: times, window: windows }[name]?.length;
    if (+value >= 0 && +value < most) state[name] = Math.floor(+value);
  }
  controls();
  draw();
}
window.addEventListener("hashchange", restore);
map();
restore();
