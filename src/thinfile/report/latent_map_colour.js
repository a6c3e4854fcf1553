// Colours: an event over no event, numbers on a perceptual ramp, categories by a palette.

const EVENT = [213, 94, 0], NO_EVENT = [0, 114, 178], NO_LABEL = [154, 163, 173], MISSING = [205, 210, 216];
// Okabe and Ito's colours, told apart by most colour-blind readers.
const PALETTE = [[0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [213, 94, 0], [240, 228, 66], [27, 31, 36]];
const RAMP = ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"]
  .map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));

function css(colour) { return `rgb(${colour.join(",")})`; }

function rampColour(share) {
  const at = Math.min(0.999999, Math.max(0, share)) * (RAMP.length - 1), low = Math.floor(at);
  return RAMP[low].map((part, place) => Math.round(part + (RAMP[low + 1][place] - part) * (at - low)));
}

// A colour for each row and what the legend says; `choice` is null for the label.
function coloursOf(map, choice) {
  const rgb = new Uint8Array(3 * map.n);
  const set = (row, colour) => rgb.set(colour, 3 * row);
  if (choice === null) return labelColours(map, rgb, set);
  return (choice.kind === "category" ? wordColours : numberColours)(map, choice, rgb, set);
}

function labelColours(map, rgb, set) {
  const counts = [0, 0, 0], looks = [NO_LABEL, NO_EVENT, EVENT];
  for (let row = 0; row < map.n; row++) {
    const label = map.label ? map.label[row] : -1;
    counts[label + 1]++;
    set(row, looks[label + 1]);
  }
  const names = map.label ? ["no label", ...map.labelValues.map((value) => `${map.labelName}: ${value}`)] : ["rows"];
  const keys = names.map((name, at) => ({ name, colour: looks[at], count: counts[at] }));
  return { rgb, title: map.labelName || "", keys: keys.filter((key) => key.count).reverse() };
}

function numberColours(map, column, rgb, set) {
  const present = Float32Array.from(column.values).filter((value) => value === value).sort();
  const at = (share) => present[Math.min(present.length - 1, Math.floor(share * present.length))];
  // The tails would take the whole ramp: two in a hundred rows at each end share its last colour.
  let [low, high] = [at(0.02), at(0.98)];
  if (!(high > low)) [low, high] = [present[0], present[present.length - 1]];
  // Where most rows crowd at one end of it, each colour gets an equal share of the rows instead.
  const middle = at(0.5), lean = (middle - low) / (high - low);
  const stops = lean < 0.25 || lean > 0.75 ? Array.from({ length: 65 }, (_, step) => at(0.02 + (0.96 * step) / 64)) : [low, high];
  let nMissing = 0;
  for (let row = 0; row < map.n; row++) {
    const value = column.values[row];
    if (value !== value) { set(row, MISSING); nMissing++; } else set(row, rampColour(shareBetween(stops, value)));
  }
  const keys = nMissing ? [{ name: "missing", colour: MISSING, count: nMissing }] : [];
  const ends = [["≤ ", low, present[0] < low], ...(stops.length > 2 ? [["", middle, false]] : []), ["≥ ", high, present[present.length - 1] > high]]
    .map(([sign, end, beyond]) => (beyond ? sign : "") + showValue(column, end));
  return { rgb, title: column.name, keys, ramp: present.length ? ends : null, uneven: stops.length > 2 };
}

// Where a value stands among rising stops, 0 to 1, linear between two of them.
function shareBetween(stops, value) {
  const last = stops.length - 1;
  if (!(value > stops[0])) return 0;
  if (value >= stops[last]) return 1;
  const at = binOf(stops, value);
  return (at - 1 + (value - stops[at - 1]) / (stops[at] - stops[at - 1])) / last;
}

function wordColours(map, column, rgb, set) {
  const counts = new Float64Array(column.words.length);
  for (const word of column.values) counts[word]++;
  const common = column.words.map((_, word) => word).filter((word) => word && counts[word] && column.words[word] !== OTHER)
    .sort((a, b) => counts[b] - counts[a] || a - b);
  const named = common.slice(0, PALETTE.length);
  const colours = column.words.map((_, word) => (word ? (named.includes(word) ? PALETTE[named.indexOf(word)] : NO_LABEL) : MISSING));
  for (let row = 0; row < map.n; row++) set(row, colours[column.values[row]]);
  const keys = named.map((word) => ({ name: column.words[word], colour: colours[word], count: counts[word] }));
  const rest = counts.reduce((sum, count, word) => sum + (word && !named.includes(word) ? count : 0), 0);
  if (rest) keys.push({ name: "other values", colour: NO_LABEL, count: rest });
  if (counts[0]) keys.push({ name: "missing", colour: MISSING, count: counts[0] });
  return { rgb, title: column.name, keys };
}

function showValue(column, value) {
  if (column.kind === "category") return column.words[value] || "missing";
  if (value !== value) return "missing";
  if (column.kind === "date") return dateText(value);
  return shortNumber(value);
}

function dateText(days) {
  if (!isFinite(days)) return "";
  const text = new Date(Math.round(days * 86400) * 1000).toISOString();
  return text.endsWith("T00:00:00.000Z") ? text.slice(0, 10) : text.slice(0, 16).replace("T", " ");
}

function shortNumber(value) {
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return value.toLocaleString("en-GB").replace("-", "−");
  return String(Number(value.toPrecision(4))).replace("-", "−");
}
