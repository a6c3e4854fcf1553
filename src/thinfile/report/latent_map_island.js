// An island: the rows in a polygon, their share of events, what distinguishes them, a rule.
// island.py works out the same; tests hold the two against each other.

const MAX_TERMS = 4, MAX_RULE_WORDS = 8, LEAST_GAIN = 0.01, OTHER = "(other)";

function insidePolygon(polygon, x, y) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i], [xj, yj] = polygon[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

function rowsInPolygon(map, view, polygon) {
  const xs = polygon.map((p) => p[0]), ys = polygon.map((p) => p[1]);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const inside = new Uint8Array(map.n);
  for (let row = 0; row < map.n; row++) {
    const [x, y] = toScreen(view, map.positions[2 * row], map.positions[2 * row + 1]);
    if (x < left || x > right || y < top || y > bottom) continue;
    inside[row] = insidePolygon(polygon, x, y) ? 1 : 0;
  }
  return inside;
}

function wilson(events, rows) {
  const z = 1.959963984540054, share = events / rows, spread = 1 + (z * z) / rows;
  const centre = (share + (z * z) / (2 * rows)) / spread;
  const half = (z / spread) * Math.sqrt((share * (1 - share)) / rows + (z * z) / (4 * rows * rows));
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

// `kept` is the share of rows without an event that the map holds; odds are stretched back.
function eventShare(map, inside) {
  let rows = 0, labelled = 0, events = 0;
  for (let row = 0; row < map.n; row++) {
    if (!inside[row]) continue;
    rows++;
    if (map.label && map.label[row] >= 0) { labelled++; events += map.label[row]; }
  }
  if (!labelled) return { rows, labelled, events, share: NaN, low: NaN, high: NaN };
  const right = (share) => share / (share + (1 - share) / map.kept);
  const [low, high] = wilson(events, labelled).map(right);
  return { rows, labelled, events, share: right(events / labelled), low, high };
}

function differences(map, inside) {
  return map.columns
    .filter((column) => column.role !== "label" && column.role !== "score")
    .map((column) => (column.kind === "category" ? wordDifference : numberDifference)(map, column, inside))
    .filter((found) => found)
    .sort((a, b) => Math.abs(b.standardised) - Math.abs(a.standardised));
}

function numberDifference(map, column, inside) {
  const n = [0, 0], sum = [0, 0];
  for (let row = 0; row < map.n; row++) {
    const value = column.values[row];
    if (value !== value) continue;
    n[inside[row]]++;
    sum[inside[row]] += value;
  }
  if (!n[0] || !n[1]) return null;
  const mean = (sum[0] + sum[1]) / (n[0] + n[1]);
  let square = 0;
  for (let row = 0; row < map.n; row++) {
    const gap = column.values[row] - mean;
    if (gap === gap) square += gap * gap;
  }
  const deviation = Math.sqrt(square / (n[0] + n[1]));
  if (!deviation) return null;
  const [outside, within] = [sum[0] / n[0], sum[1] / n[1]];
  return { column, word: null, inside: within, outside, standardised: (within - outside) / deviation };
}

function wordDifference(map, column, inside) {
  const counts = [new Float64Array(column.words.length), new Float64Array(column.words.length)], n = [0, 0];
  for (let row = 0; row < map.n; row++) { counts[inside[row]][column.values[row]]++; n[inside[row]]++; }
  let best = null;
  column.words.forEach((word, at) => {
    const overall = (counts[0][at] + counts[1][at]) / map.n, deviation = Math.sqrt(overall * (1 - overall));
    if (!deviation) return;
    const [outside, within] = [counts[0][at] / n[0], counts[1][at] / n[1]];
    const gap = (within - outside) / deviation;
    if (gap && (!best || Math.abs(gap) > Math.abs(best.standardised))) {
      best = { column, word: word || "(missing)", inside: within, outside, standardised: gap };
    }
  });
  return best;
}

// Terms one by one, each the one that raises F1 most.
function findRule(map, inside) {
  let n = 0;
  for (let row = 0; row < map.n; row++) n += inside[row];
  const covered = new Uint8Array(map.n).fill(1), terms = [];
  let f1 = (2 * n) / (map.n + n);
  while (terms.length < MAX_TERMS) {
    let best = null;
    for (const column of map.columns) {
      if (column.role !== "feature" || terms.some((term) => term.column === column)) continue;
      const found = (column.kind === "category" ? bestWords : bestRange)(map, column, inside, covered, n);
      if (found && (!best || found.f1 > best.f1)) best = found;
    }
    if (!best || best.f1 < f1 + LEAST_GAIN) break;
    f1 = best.f1;
    terms.push(best);
    for (let row = 0; row < map.n; row++) if (covered[row] && !holds(best, row)) covered[row] = 0;
  }
  return { terms, covered, ...ruleFigures(map, inside, covered, n, terms) };
}

function ruleFigures(map, inside, covered, n, terms) {
  let nCovered = 0, hits = 0;
  for (let row = 0; row < map.n; row++) { nCovered += covered[row]; hits += covered[row] & inside[row]; }
  return { nCovered, precision: terms.length ? hits / nCovered : NaN, coverage: hits / n };
}

function holds(term, row) {
  const value = term.column.values[row];
  return term.words ? term.words.includes(value) : value > term.low && value <= term.high;
}

function bestRange(map, column, inside, covered, n) {
  const cuts = column.cuts, bins = cuts.length + 1;
  const hits = new Float64Array(bins + 1), rows = new Float64Array(bins + 1);
  column.bins ||= Uint8Array.from(column.values, (value) => (value === value ? binOf(cuts, value) : 255));
  for (let row = 0; row < map.n; row++) {
    const bin = column.bins[row] + 1;
    if (!covered[row] || bin > bins) continue;
    rows[bin]++;
    hits[bin] += inside[row];
  }
  for (let bin = 1; bin <= bins; bin++) { rows[bin] += rows[bin - 1]; hits[bin] += hits[bin - 1]; }
  let best = null;
  for (let first = 0; first < bins; first++) {
    for (let end = bins; end > first; end--) {
      const nRows = rows[end] - rows[first];
      const f1 = nRows > 0 ? (2 * (hits[end] - hits[first])) / (nRows + n) : -1;
      if (!best || f1 > best.f1) best = { f1, first, end };
    }
  }
  const low = best.first ? cuts[best.first - 1] : -Infinity, high = best.end < bins ? cuts[best.end - 1] : Infinity;
  return { column, f1: best.f1, low, high, words: null };
}

// How many cuts lie below the value: a range is open below and closed above.
function binOf(cuts, value) {
  let low = 0, high = cuts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cuts[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

function bestWords(map, column, inside, covered, n) {
  const hits = new Float64Array(column.words.length), rows = new Float64Array(column.words.length);
  for (let row = 0; row < map.n; row++) {
    const word = column.values[row];
    if (!covered[row] || !word) continue;
    rows[word]++;
    hits[word] += inside[row];
  }
  const order = column.words.map((_, word) => word).filter((word) => hits[word] > 0 && column.words[word] !== OTHER)
    .sort((a, b) => hits[b] / rows[b] - hits[a] / rows[a] || hits[b] - hits[a] || a - b)
    .slice(0, MAX_RULE_WORDS);
  let best = null, allHits = 0, allRows = 0;
  order.forEach((word, at) => {
    allHits += hits[word];
    allRows += rows[word];
    const f1 = (2 * allHits) / (allRows + n);
    if (!best || f1 > best.f1) best = { column, f1, words: order.slice(0, at + 1) };
  });
  return best;
}
