// The page: what is shown, and what mouse and keys do.

const byId = (name) => document.getElementById(name);
const canvas = byId("points"), marks = byId("marks");
let map, painter, grid, view, order;
let colours = null, island = null, chosen = -1, lassoMode = false, drag = null, waiting = 0;

async function start() {
  try {
    map = await readMap();
  } catch (error) {
    byId("status").textContent = `The map cannot be read: ${error.message}`;
    return;
  }
  map.score = map.columns.find((column) => column.role === "score") || null;
  order = drawOrder();
  grid = makeGrid(map);
  painter = makePainter(canvas, map, order);
  fillColourChoice();
  byId("size").value = String(Math.min(8, Math.max(2, 9 - 1.15 * Math.log10(map.n + 1))));
  byId("find").placeholder = map.ids ? map.idName : "row number";
  listen();
  resize();
  showAll();
  recolour();
  draw(); // at once: a picture that is taken without a screen may never come to a frame
  say("");
  document.documentElement.dataset.ready = painter.kind;
}

// Events come last, so that none is hidden under the others.
function drawOrder() {
  const rows = Array.from({ length: map.n }, (_, row) => row);
  return map.label ? Int32Array.from([-1, 0, 1].flatMap((label) => rows.filter((row) => map.label[row] === label))) : Int32Array.from(rows);
}

function say(text) { byId("status").textContent = text || `${countText(map.n)} rows`; }

// View -----------------------------------------------------------------------------------------

function resize() {
  const { width, height } = byId("stage").getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  for (const each of [canvas, marks]) {
    each.width = Math.max(1, Math.round(width * ratio));
    each.height = Math.max(1, Math.round(height * ratio));
  }
  view = { x: 0, y: 0, scale: 1, ...view, width: Math.max(1, width), height: Math.max(1, height) };
  if (colours) draw(); // a canvas of another size is blank
}

function showAll() {
  const box = boundsOf(map.positions);
  view.x = (box.left + box.right) / 2;
  view.y = (box.bottom + box.top) / 2;
  const bar = byId("bar").offsetTop + byId("bar").offsetHeight; // nothing lies under the controls
  const spans = [view.width / Math.max(1e-9, box.right - box.left), Math.max(50, view.height - bar) / Math.max(1e-9, box.top - box.bottom)];
  view.scale = 0.92 * Math.min(...spans);
  view.y += bar / 2 / view.scale;
  redraw();
}

function zoom(factor, x = view.width / 2, y = view.height / 2) {
  const [mapX, mapY] = toMap(view, x, y);
  view.scale = Math.min(1e7, Math.max(1e-7, view.scale * factor));
  view.x = mapX - (x - view.width / 2) / view.scale;
  view.y = mapY + (y - view.height / 2) / view.scale;
  redraw(true);
}

function pan(x, y) {
  view.x -= x / view.scale;
  view.y += y / view.scale;
  redraw(true);
}

let hurried = false, settling = 0;

// While the map moves, a painter without a graphics card may leave points out; at rest never.
function redraw(moving = false) {
  if (moving === true) {
    hurried = true;
    clearTimeout(settling);
    settling = setTimeout(() => { hurried = false; redraw(); }, 150);
  }
  if (!waiting) waiting = requestAnimationFrame(draw);
}

function draw() {
  cancelAnimationFrame(waiting);
  waiting = 0;
  const before = performance.now();
  painter.draw(view, Number(byId("size").value), hurried);
  drawMarks();
  timing.frames++;
  timing.script += performance.now() - before;
}

const timing = { frames: 0, script: 0 };

function drawMarks() {
  const context = marks.getContext("2d"), ratio = marks.width / view.width;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, view.width, view.height);
  if (chosen >= 0) drawChosen(context);
  if (drag && drag.polygon) outline(context, drag.polygon);
}

function drawChosen(context) {
  const [x, y] = screenOf(chosen);
  context.lineWidth = 1.5;
  context.strokeStyle = "#1b1f24";
  for (const [other] of nearestOf(map, chosen)) {
    const [u, v] = screenOf(other);
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(u, v);
    context.stroke();
    ring(context, u, v, 6);
  }
  context.lineWidth = 3;
  ring(context, x, y, 10);
}

function ring(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
}

function outline(context, polygon) {
  context.lineWidth = 1.5;
  context.strokeStyle = "#1b1f24";
  context.fillStyle = "#1b1f2418";
  context.beginPath();
  polygon.forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
  context.fill();
  context.stroke();
}

function screenOf(row) { return toScreen(view, map.positions[2 * row], map.positions[2 * row + 1]); }

// Colours --------------------------------------------------------------------------------------

function fillColourChoice() {
  const select = byId("colour");
  if (map.label || !map.columns.length) select.append(element("option", map.labelName || "none", { value: "label" }));
  map.columns.forEach((column, at) => {
    if (column.role !== "label") select.append(element("option", column.name, { value: String(at) }));
  });
  select.value = map.colour;
}

function recolour() {
  const choice = byId("colour").value;
  colours = coloursOf(map, choice === "label" ? null : map.columns[Number(choice)]);
  paint();
  showLegend();
}

// What is in the island keeps its colour, the rest fades.
function paint() {
  const rgba = new Uint8Array(4 * map.n), larger = new Float32Array(map.n);
  const many = map.n > 50000 ? 100 : map.n > 10000 ? 150 : 200; // crowds stay told from crumbs
  for (let row = 0; row < map.n; row++) {
    const faded = island && !island.inside[row], event = map.label && map.label[row] === 1;
    for (let part = 0; part < 3; part++) rgba[4 * row + part] = colours.rgb[3 * row + part];
    rgba[4 * row + 3] = faded ? 28 : event ? 255 : many;
    larger[row] = event ? 0.7 : 0;
  }
  painter.recolour(rgba, larger);
  redraw();
}

function showLegend() {
  const parts = colours.title ? [element("p", colours.title)] : [];
  if (colours.ramp) {
    const stops = RAMP.map(css).join(",");
    parts.push(element("div", "", { class: "ramp", style: `background:linear-gradient(90deg,${stops})` }));
    parts.push(element("div", colours.ramp.map((end) => element("span", end)), { class: "ends" }));
    if (colours.uneven) parts.push(element("small", "Each colour has as many rows; median in the middle."));
  }
  parts.push(element("ul", colours.keys.map((key) => element("li", [element("i", "", { style: `background:${css(key.colour)}` }), `${key.name} (${countText(key.count)})`]))));
  byId("legend").replaceChildren(...parts);
}

// Row and island -------------------------------------------------------------------------------

function choose(row, centre = false) {
  chosen = row;
  if (centre) [view.x, view.y] = [map.positions[2 * row], map.positions[2 * row + 1]];
  byId("row").hidden = false;
  byId("hints").hidden = true;
  byId("row-title").textContent = rowName(map, row) + (map.ids ? ` (row ${map.rows[row]})` : "");
  byId("row-facts").replaceChildren(...rowFacts(map, row, (other) => choose(other, true)));
  say(`${rowName(map, row)} is chosen`);
  redraw();
}

function takeIsland(inside) {
  const share = eventShare(map, inside);
  if (!share.rows) { clearIsland(); say("No row is inside"); return; }
  const whole = share.rows === map.n;
  const overall = eventShare(map, new Uint8Array(map.n).fill(1));
  const rule = whole ? { terms: [] } : findRule(map, inside);
  island = { inside, share, overall, rule, found: whole ? [] : differences(map, inside) };
  byId("island").hidden = false;
  byId("hints").hidden = true;
  byId("island-facts").replaceChildren(...islandFacts(map, island, (row) => choose(row, true)));
  byId("panel").scrollTop = 0;
  chosen = -1;
  byId("row").hidden = true;
  say(`${countText(share.rows)} rows in the island`);
  paint();
}

function clearIsland() {
  island = null;
  byId("island").hidden = true;
  paint();
}

function clearAll() {
  drag = null;
  chosen = -1;
  byId("row").hidden = true;
  byId("hints").hidden = false;
  clearIsland();
  say("");
}

function takeView() {
  takeIsland(rowsInPolygon(map, view, [[0, 0], [view.width, 0], [view.width, view.height], [0, view.height]]));
}

function find(text) {
  const wanted = text.trim();
  if (!wanted) return;
  let row = map.ids ? map.ids.indexOf(wanted) : -1;
  if (row < 0 && /^(row )?\d+$/.test(wanted)) row = map.rows.indexOf(Number(wanted.replace("row ", "")));
  if (row < 0) { say(`${wanted} is not on this map`); return; }
  if (view.scale < 4) view.scale = Math.max(view.scale, 8);
  choose(row, true);
}

// Mouse and keys -------------------------------------------------------------------------------

function listen() {
  canvas.addEventListener("pointerdown", press);
  canvas.addEventListener("pointermove", moveTo);
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", () => { drag = null; redraw(); });
  canvas.addEventListener("pointerleave", () => { byId("tip").hidden = true; });
  canvas.addEventListener("redraw", () => { paint(); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    zoom(Math.exp(-event.deltaY * lines * 0.0016), event.offsetX, event.offsetY);
  }, { passive: false });
  byId("colour").addEventListener("change", recolour);
  byId("size").addEventListener("input", redraw);
  byId("move").addEventListener("click", () => setLasso(false));
  byId("lasso").addEventListener("click", () => setLasso(true));
  byId("in-view").addEventListener("click", takeView);
  byId("all").addEventListener("click", showAll);
  byId("bar").addEventListener("submit", (event) => { event.preventDefault(); find(byId("find").value); });
  byId("find").addEventListener("search", () => find(byId("find").value));
  document.addEventListener("keydown", key);
  new ResizeObserver(resize).observe(byId("stage"));
}

function setLasso(on) {
  lassoMode = on;
  byId("lasso").setAttribute("aria-pressed", String(on));
  byId("move").setAttribute("aria-pressed", String(!on));
  canvas.classList.toggle("lasso", on);
}

function press(event) {
  if (event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  canvas.focus({ preventScroll: true });
  const at = [event.offsetX, event.offsetY];
  const draws = lassoMode || event.shiftKey;
  drag = { from: at, last: at, moved: false, adds: event.ctrlKey || event.metaKey, polygon: draws ? [at] : null };
  canvas.classList.toggle("moving", !draws);
}

function moveTo(event) {
  const at = [event.offsetX, event.offsetY];
  if (!drag) { hover(at); return; }
  if (Math.hypot(at[0] - drag.from[0], at[1] - drag.from[1]) > 3) drag.moved = true;
  if (drag.polygon) { drag.polygon.push(at); redraw(); } else if (drag.moved) pan(at[0] - drag.last[0], at[1] - drag.last[1]);
  drag.last = at;
}

function release(event) {
  const done = drag;
  drag = null;
  canvas.classList.remove("moving");
  if (!done) return;
  if (!done.moved) { click([event.offsetX, event.offsetY]); return; }
  if (done.polygon) {
    const inside = rowsInPolygon(map, view, done.polygon);
    if (done.adds && island) island.inside.forEach((was, row) => { if (was) inside[row] = 1; });
    takeIsland(inside);
  }
}

function under([x, y]) {
  return grid.nearest(...toMap(view, x, y), (Number(byId("size").value) + 4) / view.scale);
}

function click(at) {
  const row = under(at);
  if (row >= 0) choose(row); else redraw();
}

function hover(at) {
  const row = under(at), tip = byId("tip");
  tip.hidden = row < 0;
  if (row < 0) return;
  tip.textContent = [rowName(map, row), map.label ? `${map.labelName}: ${labelText(map, row)}` : ""].filter(Boolean).join(" · ");
  tip.style.left = `${Math.min(at[0] + 14, view.width - 160)}px`;
  tip.style.top = `${Math.min(at[1] + 14, view.height - 40)}px`;
}

const ARROWS = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };

function key(event) {
  if (event.key === "Escape") { clearAll(); return; }
  const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const actions = {
    "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: showAll,
    l: () => setLasso(!lassoMode), m: () => setLasso(false), v: takeView, "/": () => byId("find").focus(),
  };
  const onMap = event.target === canvas || event.target === document.body;
  const action = actions[event.key] || (onMap && ARROWS[event.key] ? () => pan(...ARROWS[event.key]) : null);
  if (action) { event.preventDefault(); action(); }
}

// For tests and for the curious: what is shown, read only.
window.latentMap = {
  view: () => ({ ...view }),
  island: () => (island ? Array.from(island.inside.keys()).filter((row) => island.inside[row]) : null),
  summary: () => island && { share: island.share, rule: island.rule.terms.map(({ column, low, high, words }) => ({ column: column.name, low: String(low), high: String(high), words: words && words.map((word) => column.words[word]) })), nCovered: island.rule.nCovered, precision: island.rule.precision, coverage: island.rule.coverage, differences: island.found.map(({ column, word, inside, outside, standardised }) => ({ column: column.name, word, inside, outside, standardised })) },
  csv: () => island && csvOf(map, island.inside),
  rule: () => island && ruleText(island.rule),
  chosen: () => chosen,
  nearest: (row) => nearestOf(map, row),
  timing: () => ({ ...timing }),
};

start();
