// What every live figure starts with: its data, its parts, and how pictures get onto a canvas.
const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
const part = name => root.querySelector(`[data-role='${name}']`);
const ZOOM = 8; // canvas pixels of one of the picture's, for thin frames

const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
const unzip = async text =>
  new Uint8Array(await new Response(new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
const percent = weight => (weight >= 0.01 ? `${Math.round(100 * weight)} %` : "under 1 %");
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** Normal numbers, the same for the same seed everywhere. */
function normals(seed, n) {
  let a = seed >>> 0;
  const uniform = () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
  return Float32Array.from({ length: n }, () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

const fresh = () => Math.floor(Math.random() * 2 ** 31); // a seed

/** A picture at a data URL; decoded once. */
const decoded = {};
function decode(url) {
  return decoded[url] ??= new Promise((done, failed) => {
    const picture = new Image();
    Object.assign(picture, { onload: () => done(picture), onerror: failed, src: url });
  });
}

/** Draw the part of a picture that is h x w and starts at row top, column left. */
function show(canvas, picture, h, w, top = 0, left = 0) {
  const pen = Object.assign(canvas, { width: ZOOM * w, height: ZOOM * h }).getContext("2d");
  pen.imageSmoothingEnabled = false;
  pen.drawImage(picture, left, top, w, h, 0, 0, ZOOM * w, ZOOM * h);
}

/** Draw numbers from -1 to 1, [..., c, h, w], that start at `from`. */
function paint(canvas, values, shape, from = 0) {
  const [c, h, w] = shape.slice(-3), picture = new ImageData(w, h), small = document.createElement("canvas");
  for (let i = 0; i < h * w; i++)
    for (let ch = 0; ch < 4; ch++)
      picture.data[4 * i + ch] = ch === 3 ? 255 : 127.5 * (values[from + (ch % c) * h * w + i] + 1);
  Object.assign(small, { width: w, height: h }).getContext("2d").putImageData(picture, 0, 0);
  show(canvas, small, h, w);
}

/** A frame around the pixels within r of a place; where the picture wraps, on both sides. */
function frame(canvas, row, column, r, colour = "#D55E00", wraps = false) {
  const pen = canvas.getContext("2d"), h = canvas.height / ZOOM, w = canvas.width / ZOOM;
  const shifts = wraps ? [-1, 0, 1] : [0], cut = (value, most) => (wraps ? value : Math.min(Math.max(value, 0), most));
  for (const [width, style] of [[5, "#ffffff"], [3, colour]]) {
    Object.assign(pen, { lineWidth: width, strokeStyle: style });
    for (const down of shifts) for (const right of shifts) {
      const top = cut(row - r + down * h, h), left = cut(column - r + right * w, w);
      const bottom = cut(row + r + 1 + down * h, h), end = cut(column + r + 1 + right * w, w);
      pen.strokeRect(ZOOM * left + 2, ZOOM * top + 2, ZOOM * (end - left) - 4, ZOOM * (bottom - top) - 4);
    }
  }
}

/** A canvas that says what it shows, with a line below. */
function captioned(canvas, line, label) {
  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  caption.textContent = line;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  figure.append(canvas, caption);
  return figure;
}

/**
 * A pixel of pictures of one size, [h, w] = size(): chosen by a press or by arrow keys, it stays; one
 * that the mouse is over counts meanwhile. `tell` hears of each change.
 */
function picker(canvases, keys, size, tell) {
  let chosen = null, over = null;
  const under = event => {
    const box = event.target.getBoundingClientRect(), [h, w] = size();
    return [Math.floor((event.clientY - box.top) / box.height * h), Math.floor((event.clientX - box.left) / box.width * w)]
      .map((value, axis) => Math.min(Math.max(value, 0), (axis ? w : h) - 1));
  };
  const pick = { under, get at() { return over ?? chosen; }, clear() { chosen = over = null; }, choose(at) { chosen = at; over = null; } };
  for (const canvas of canvases) {
    // A click, not the start of one: a swipe that begins on a picture scrolls the page.
    canvas.addEventListener("click", event => { pick.choose(under(event)); tell(); });
    canvas.addEventListener("pointermove", event => {
      const at = under(event);
      if (event.pointerType === "touch" || `${at}` === `${pick.at}`) return;
      over = at;
      tell();
    });
    canvas.addEventListener("pointerleave", () => { if (over) { over = null; tell(); } });
  }
  keys.addEventListener("keydown", event => {
    const move = ARROWS[event.key];
    if (!move) return;
    event.preventDefault();
    const [h, w] = size(), [i, j] = pick.at ?? [h >> 1, w >> 1];
    pick.choose([Math.min(Math.max(i + move[0], 0), h - 1), Math.min(Math.max(j + move[1], 0), w - 1)]);
    tell();
  });
  return pick;
}

/** What the address says to this figure; null if it speaks of nothing or of another. */
function linked() {
  const [name, query] = location.hash.slice(1).split("?");
  return name === root.id && query ? Object.fromEntries(new URLSearchParams(query)) : null;
}

function link(state) { part("link").href = `#${root.id}?${new URLSearchParams(state)}`; }
