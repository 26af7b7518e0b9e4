const { h, w, top, frames } = data, last = frames.length - 1;
const drawn = ["theory", "network", "noisy", "pieces"].filter(name => name in frames[0]);
const NONE = 65535; // in the place of a source: there are fewer patches than places for them
const pick = picker(drawn.map(part), part("panels"), () => [h, w], draw);
pick.choose([h >> 1, w >> 1]);
let latest = 0;

const kinds = { number: Float32Array, image: Uint16Array, row: Uint8Array, col: Uint8Array, weight: Uint8Array };
const loading = Promise.all(Object.entries(kinds).map(async ([key, Kind]) => {
  data[key] = new Kind((await unzip(data[key])).buffer);
}));

async function draw() {
  const mine = ++latest, step = +part("step").value, one = frames[step], [i, j] = pick.at;
  const [sheet, ...found] = await Promise.all([data.sources, ...drawn.map(name => one[name])].map(decode));
  await loading;
  if (mine !== latest) return;
  const r = one.window >> 1;
  drawn.forEach((name, n) => {
    show(part(name), found[n], h, w);
    if (name !== "network") frame(part(name), i, j, r, "#E69F00", data.wraps);
    frame(part(name), i, j, 0);
  });
  part("pieces").style.visibility = one.settled < 0.25 ? "hidden" : "visible";
  part("made").textContent = one.settled < 0.25
    ? "no pieces yet: hardly a pixel has one source"
    : `${one.count} pieces from ${one.images} images; black: plain, or no patch has half the weight`;
  part("when").textContent = `t = ${one.t}, window ${one.window} x ${one.window}`;
  say(step, one, i, j);
  const patches = likeliest(step, i, j);
  part("patches").replaceChildren(...patches.map(patch => thumbnail(sheet, patch, r)));
  link({ step, row: i, col: j });
  const [first] = patches;
  Object.assign(root.dataset, { row: i, col: j, step, image: first.number, sourceRow: first.row, sourceCol: first.col });
}

/** The patches of a pixel at a step, likeliest first. */
function likeliest(step, i, j) {
  const found = [];
  for (let m = 0; m < top; m++) {
    const at = (step * top + m) * h * w + i * w + j, image = data.image[at];
    if (image === NONE) break;
    found.push({ image, number: data.numbers[image], row: data.row[at], col: data.col[at], weight: data.weight[at] / 255 });
  }
  return found[0].weight > 0.01 ? found.filter(patch => patch.weight > 0.002) : found;
}

function say(step, one, i, j) {
  const many = data.number[(step * h + i) * w + j], [first] = likeliest(step, i, j);
  const words = many < 1.5 ? `nearly all of it is one patch, of training image ${first.number}`
    : `it is a mean of some ${many < 10 ? many.toFixed(1) : Math.round(many).toLocaleString("en")} patches that count alike` +
      (first.weight < 0.1 ? "; none is its source" : `; the likeliest, of training image ${first.number}, counts ${percent(first.weight)}`);
  part("said").textContent = `Row ${i + 1}, column ${j + 1}, seen through ${one.window} x ${one.window} pixels: ${words}.`;
}

function thumbnail(sheet, { image, number, row, col, weight }, r) {
  const canvas = document.createElement("canvas");
  show(canvas, sheet, h, w, Math.floor(image / data.columns) * h, (image % data.columns) * w);
  frame(canvas, row, col, r, "#E69F00", data.wraps);
  frame(canvas, row, col, 0);
  return captioned(canvas, `${percent(weight)}, no. ${number}`,
    `Training image ${number}, patch around row ${row + 1}, column ${col + 1}, weight ${percent(weight)}`);
}

part("step").addEventListener("input", draw);

function restore() {
  const wanted = linked(), [step, row, col] = wanted ? ["step", "row", "col"].map(key => Number(wanted[key])) : [];
  if (wanted && frames[step] && row >= 0 && row < h && col >= 0 && col < w) {
    part("step").value = step;
    pick.choose([Math.floor(row), Math.floor(col)]);
  }
  draw();
}
window.addEventListener("hashchange", restore);
restore();
