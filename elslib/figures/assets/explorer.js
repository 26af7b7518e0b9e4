const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
const { h, w, frames } = data;
const canvas = (name) => root.querySelector("canvas." + name);
const slider = root.querySelector("input");
const SCALE = 8;
const at = { row: h >> 1, col: w >> 1 };

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
for (const frame of frames) {
  frame.image = new Uint16Array(bytes(frame.image));
  for (const key of ["row", "col", "weight"]) frame[key] = new Uint8Array(bytes(frame[key]));
  frame.number = new Float32Array(bytes(frame.number));
}

const pictures = {};
const load = (url) => new Promise((done) => {
  if (pictures[url]) return done(pictures[url]);
  const picture = new Image();
  picture.onload = () => done((pictures[url] = picture));
  picture.src = url;
});

const drawn = ["theory", "network", "noisy", "pieces"].filter((name) => name in frames[0]);
for (const name of [...drawn, "source"]) {
  canvas(name).width = w * SCALE;
  canvas(name).height = h * SCALE;
}

function paint(name, picture, left = 0, top = 0) {
  const pen = canvas(name).getContext("2d");
  pen.imageSmoothingEnabled = false;
  pen.drawImage(picture, left, top, w, h, 0, 0, w * SCALE, h * SCALE);
}

// A box of pixels; where the picture wraps, once more on the other side.
function outline(name, row, col, side, colour) {
  const pen = canvas(name).getContext("2d");
  const half = side >> 1;
  const shifts = data.wraps ? [-1, 0, 1] : [0];
  for (const [width, style] of [[4, "#000000"], [2, colour]]) {
    pen.lineWidth = width;
    pen.strokeStyle = style;
    for (const down of shifts) for (const right of shifts) {
      let top = row - half + down * h, left = col - half + right * w;
      let bottom = top + side, end = left + side;
      if (!data.wraps) {
        top = Math.max(top, 0); left = Math.max(left, 0);
        bottom = Math.min(bottom, h); end = Math.min(end, w);
      }
      pen.strokeRect(left * SCALE + 1, top * SCALE + 1, (end - left) * SCALE - 2, (bottom - top) * SCALE - 2);
    }
  }
}

let latest = 0;
async function draw() {
  const mine = ++latest;
  const frame = frames[+slider.value];
  const [sheet, ...found] = await Promise.all([data.sources, ...drawn.map((n) => frame[n])].map(load));
  if (mine !== latest) return;
  drawn.forEach((name, i) => paint(name, found[i]));
  const pixel = at.row * w + at.col;
  const source = frame.image[pixel], row = frame.row[pixel], col = frame.col[pixel];
  paint("source", sheet, (source % data.columns) * w, Math.floor(source / data.columns) * h);
  outline("source", row, col, frame.window, "#E69F00");
  outline("source", row, col, 1, "#D55E00");
  outline("noisy", at.row, at.col, frame.window, "#E69F00");
  for (const name of drawn) if (name !== "noisy") outline(name, at.row, at.col, 1, "#D55E00");
  const number = data.numbers[source], weight = Math.round((100 * frame.weight[pixel]) / 255);
  const many = frame.number[pixel];
  const effective = many < 10 ? many.toFixed(1) : Math.round(many).toLocaleString("en");
  root.querySelector(".when").textContent = `t = ${frame.t}, window ${frame.window} x ${frame.window}`;
  root.querySelector(".whence").textContent = `training image ${number}`;
  root.querySelector(".made").textContent = `${frame.count} pieces of ${frame.images} images`;
  root.querySelector(".said").textContent =
    `Pixel in row ${at.row}, column ${at.col}: most probably from training image ${number}, row ${row}, ` +
    `column ${col}, with weight ${weight} %; as undecided as ${effective} equally good patches.`;
  Object.assign(root.dataset, { row: at.row, col: at.col, step: slider.value, image: number, sourceRow: row, sourceCol: col });
}

function choose(row, col) {
  at.row = Math.min(Math.max(row, 0), h - 1);
  at.col = Math.min(Math.max(col, 0), w - 1);
  draw();
}

function point(event) {
  const box = canvas("theory").getBoundingClientRect();
  choose(Math.floor(((event.clientY - box.top) / box.height) * h),
         Math.floor(((event.clientX - box.left) / box.width) * w));
}

canvas("theory").addEventListener("pointerdown", point);
canvas("theory").addEventListener("pointermove", point);
canvas("theory").addEventListener("keydown", (event) => {
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!move) return;
  event.preventDefault();
  choose(at.row + move[0], at.col + move[1]);
});
slider.addEventListener("input", draw);
draw();
