// A start of the reader's own: a drawing, over which noise is put, and from there the machine goes on.
const board = (() => {
  const canvas = part("board");
  let pixels = null, painting = false;

  /** A drawing of the set's size; black where pictures are grey, as clothes have it, else white. */
  const drawing = () => { const [, c, h, w] = shape(); return pixels ??= new Float32Array(c * h * w).fill(c === 1 ? -1 : 1); };
  const repaint = () => {
    paint(canvas, drawing(), shape());
    if (pick.at && document.activeElement === canvas) frame(canvas, ...pick.at, part("brushsize").value >> 1);
  };
  const colour = c => {
    const shades = [1, 3, 5].map(at => parseInt(part("colour").value.slice(at, at + 2), 16) / 127.5 - 1);
    return c === 3 ? shades : [(shades[0] + shades[1] + shades[2]) / 3];
  };
  function stroke([row, column]) {
    const [, c, h, w] = shape(), r = part("brushsize").value >> 1, shades = colour(c), values = drawing();
    for (let i = Math.max(row - r, 0); i <= Math.min(row + r, h - 1); i++)
      for (let j = Math.max(column - r, 0); j <= Math.min(column + r, w - 1); j++)
        if (Math.hypot(i - row, j - column) <= r + 0.3) shades.forEach((shade, ch) => { values[(ch * h + i) * w + j] = shade; });
    repaint();
  }
  const pick = picker([canvas], canvas, () => shape().slice(2), () => (painting ? stroke(pick.at) : repaint()));
  canvas.addEventListener("pointerdown", event => {
    if (event.button) return;  // only the first one paints
    painting = true;
    canvas.setPointerCapture(event.pointerId);
    stroke(pick.under(event));
  });
  // Fingers paint as well: the page does not scroll under them here.
  canvas.addEventListener("pointermove", event => { if (painting) stroke(pick.under(event)); });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { painting = false; });
  canvas.addEventListener("keydown", event => {
    if (event.key !== " ") return;
    event.preventDefault();
    if (pick.at) stroke(pick.at);
  });

  const self = {
    clear() {
      pixels = null;
      part("colour").value = shape()[1] === 1 ? "#ffffff" : "#d55e00";
      repaint();
    },
    /** What a link holds of a drawing; false if it is none of this size. */
    restore(text) {
      const [, c, h, w] = shape();
      let found;
      try { found = toPixels(bytes(text)); } catch { return false; }
      if (found.length !== c * h * w) return false;
      pixels = found;
      part("from").value = state.from;
      part("brush").open = true;
      repaint();
      return true;
    },
  };
  part("brush").addEventListener("toggle", () => (pixels ? repaint() : self.clear()));
  part("clear").addEventListener("click", self.clear);
  part("take").addEventListener("click", () => {
    const found = steps[last]?.x0 ?? toPixels(bytes(data.sets[state.set].seeds[state.seed].theory));
    pixels = Float32Array.from(found, value => Math.min(Math.max(value, -1), 1));
    repaint();
  });
  part("redraw").addEventListener("click", () => {
    const text = btoa(String.fromCharCode(...Uint8Array.from(drawing(), value => Math.round(127.5 * (value + 1)))));
    Object.assign(state, { drawing: text, from: +part("from").value, noise: fresh() });
    draw();
  });
  return self;
})();

/** A drawing under noise, at a level. */
function under(drawing, noise, { alpha, sigma }) { return drawing.map((value, i) => alpha * value + sigma * noise[i]); }

