// Which places a pixel may be compared with, by the rule about the border; and moved noise.
const { h, w, moves, rows, along } = data;
let sheet = null; // all pictures, once they are decoded
const BLUE = "rgba(86, 180, 233, 0.45)", DARK = "rgba(0, 0, 0, 0.6)";

/** The coordinates [from, to) whose windows, of reach r, are cut by the border as that of `at` is. */
function alike(at, side, r, rule) {
  if (rule === "circular") return [0, side];
  return rule === "fixed" || at < r || at >= side - r ? [at, at + 1] : [r, side - r];
}

function seen([i, j], r) {
  const found = { top: i < r, bottom: i >= h - r, left: j < r, right: j >= w - r };
  return Object.keys(found).filter(border => found[border]);
}
const listed = words => (words.length > 1 ? `${words.slice(0, -1).join(", ")} and ${words.at(-1)}` : words[0]);

function draw() {
  if (!sheet) return;
  const at = pick.at ?? [h >> 1, w >> 1], r = +part("window").value, rule = part("rule").value;
  const [top, bottom] = alike(at[0], h, r, rule), [left, right] = alike(at[1], w, r, rule);
  show(part("query"), sheet, h, w);
  frame(part("query"), ...at, r, "#D55E00", rule === "circular");
  frame(part("query"), ...at, 0, "#0072B2");
  show(part("places"), sheet, h, w);
  const pen = part("places").getContext("2d");
  pen.fillStyle = DARK;
  for (const [y, x, height, width] of [[0, 0, top, w], [bottom, 0, h - bottom, w], [top, 0, bottom - top, left], [top, right, bottom - top, w - right]])
    pen.fillRect(ZOOM * x, ZOOM * y, ZOOM * width, ZOOM * height);
  pen.fillStyle = BLUE;
  pen.fillRect(ZOOM * left, ZOOM * top, ZOOM * (right - left), ZOOM * (bottom - top));
  const places = (bottom - top) * (right - left), borders = rule === "circular" ? [] : seen(at, r);
  const knows = rule === "fixed" ? "knows its place exactly" : rule === "circular" ? "sees no border, for there is none"
    : borders.length ? `sees the border at the ${listed(borders)}` : "sees no border";
  part("said").textContent = `Row ${at[0] + 1}, column ${at[1] + 1} ${knows}: ${places === 1 ? "one place" : `${places.toLocaleString("en")} places`} in each training image ${places === 1 ? "counts" : "count"}.`;
  part("side").textContent = `${2 * r + 1} x ${2 * r + 1}`;
  Object.assign(root.dataset, { places, top, left });
  move(at);
}

function move([row, column]) {
  const k = +part("move").value;
  part("moved").textContent = moves[k] ? `by ${moves[k]} pixels, up and to the left` : "not moved";
  part("row").replaceChildren(...rows.map((name, number) => {
    const canvas = document.createElement("canvas"), r = along[name]?.[k];
    show(canvas, sheet, h, w, h * (number + 1), w * k);
    const follows = r === undefined || !k ? "" : `: r = ${r.toFixed(2)} with its old picture, moved along`;
    return captioned(canvas, `${name}${follows}`, `${name}${k ? `, from noise moved by ${moves[k]} pixels` : ""}`);
  }));
  link({ row, column, window: part("window").value, rule: part("rule").value, move: k });
  root.dataset.move = moves[k];
}

const pick = picker(["query", "places"].map(part), part("panels"), () => [h, w], draw);
for (const name of ["window", "move"]) part(name).addEventListener("input", draw);
part("rule").addEventListener("change", draw);

function restore() {
  const wanted = linked();
  if (wanted && ["row", "column", "window", "move"].every(name => Number.isInteger(+wanted[name]))) {
    pick.choose([Math.min(Math.max(+wanted.row, 0), h - 1), Math.min(Math.max(+wanted.column, 0), w - 1)]);
    for (const name of ["window", "move"]) part(name).value = wanted[name];
    if (["aware", "circular", "fixed"].includes(wanted.rule)) part("rule").value = wanted.rule;
  }
  draw();
}
window.addEventListener("hashchange", restore);
decode(data.sheet).then(picture => { sheet = picture; restore(); });
