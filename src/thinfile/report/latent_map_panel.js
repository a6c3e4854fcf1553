// The panel: one row and its nearest, or an island; and what leaves the page as a file.

function element(name, content, attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  for (const part of [content].flat()) made.append(part);
  return made;
}

function tableOf(caption, headings, rows, numeric) {
  const look = (at) => (numeric.includes(at) ? { class: "number" } : {});
  const head = element("thead", element("tr", headings.map((text, at) => element("th", text, { scope: "col", ...look(at) }))));
  const body = element("tbody", rows.map((cells) => element("tr", cells.map((cell, at) => element("td", cell, look(at))))));
  return element("div", element("table", [head, body], { "aria-label": caption }), { class: "scroll", tabindex: "0", role: "region", "aria-label": caption });
}

function rowName(map, row) {
  return map.ids && map.ids[row] ? map.ids[row] : `row ${map.rows[row]}`;
}

function labelText(map, row) {
  if (!map.label) return "";
  return map.label[row] < 0 ? "no label" : map.labelValues[map.label[row]];
}

// The event in words, such as "status = fraud".
function eventText(map) { return `${map.labelName} = ${map.labelValues[1]}`; }

function percent(share) {
  if (!(share > 0)) return share === 0 ? "0 %" : "–";
  return `${Number((100 * share).toPrecision(share < 0.1 ? 2 : 3))} %`;
}

function countText(n) { return n.toLocaleString("en-GB"); }

function rowLink(map, row, choose) {
  const link = element("button", rowName(map, row), { type: "button", class: "row-link" });
  link.addEventListener("click", () => choose(row));
  return link;
}

function rowFacts(map, row, choose) {
  const facts = [];
  if (map.label) facts.push(element("p", [`${map.labelName}: `, element("span", labelText(map, row), map.label[row] === 1 ? { class: "event" } : {})]));
  const near = nearestOf(map, row);
  facts.push(element("h3", "Nearest rows in the space that the model reads"));
  facts.push(tableOf("Nearest rows", ["row", ...(map.label ? [map.labelName] : []), "distance"],
    near.map(([other, distance]) => [rowLink(map, other, choose), ...(map.label ? [labelText(map, other)] : []), shortNumber(distance)]),
    [map.label ? 2 : 1]));
  facts.push(element("h3", "Columns"));
  facts.push(tableOf("Columns of the row", ["column", "value"],
    map.columns.map((column) => [column.name, showValue(column, column.values[row])]), [1]));
  return facts;
}

function nearestOf(map, row) {
  const found = [];
  for (let at = row * map.k; at < (row + 1) * map.k; at++) {
    found.push([map.neighbours[at], (map.distances[at] / 65535) * map.farthest]);
  }
  return found;
}

function islandFacts(map, island, choose) {
  const { share, rule, found } = island;
  const facts = [element("p", [countText(share.rows), element("small", `of ${countText(map.n)} rows on the map`)], { class: "big", id: "island-count" })];
  facts.push(...shareFacts(map, island));
  facts.push(element("h3", "What distinguishes it"));
  const rows = found.map((each) => [each.column.name + (each.word === null ? "" : ` = ${each.word}`), ...sides(each), signed(each.standardised)]);
  facts.push(rows.length ? differenceTables(rows) : element("p", "No column does.", { class: "quiet" }));
  facts.push(element("h3", "As a rule"));
  facts.push(...ruleFacts(map, island, rule));
  facts.push(element("div", [
    fileButton("Rows as CSV", "save-csv", () => ["island.csv", "text/csv", csvOf(map, island.inside)]),
    ...(rule.terms.length ? [fileButton("Rule as text", "save-rule", () => ["island-rule.sql", "text/plain", ruleFile(map, island)])] : []),
  ], { class: "buttons" }));
  facts.push(element("h3", "Its rows"));
  facts.push(memberTable(map, island.inside, choose));
  return facts;
}

function shareFacts(map, { share, overall }) {
  if (!share.labelled) return map.label ? [element("p", "None of them has a label.", { class: "quiet" })] : [];
  const counted = `${countText(share.events)} of ${countText(share.labelled)} labelled rows on the map`;
  const text = `95 % interval ${percent(share.low)} to ${percent(share.high)}; ${percent(overall.share)} of all labelled rows`;
  const note = map.kept < 1 ? `. The map holds ${percent(map.kept)} of the others: shares are put right for that` : "";
  return [element("p", [`${eventText(map)}: ${percent(share.share)}`, element("small", `${counted}; ${text}${note}.`)], { class: "big", id: "island-share" })];
}

function sides(each) {
  if (each.word !== null) return [percent(each.inside), percent(each.outside)];
  return [showValue(each.column, each.inside), showValue(each.column, each.outside)];
}

function signed(value) { return (value > 0 ? "+" : "−") + Math.abs(value).toFixed(2); }

function differenceTables(rows) {
  const headings = ["column", "island", "rest", "in SD"], parts = [tableOf("What distinguishes the island", headings, rows.slice(0, 8), [1, 2, 3])];
  if (rows.length > 8) parts.push(element("details", [element("summary", `${rows.length - 8} more columns`), tableOf("Other columns", headings, rows.slice(8), [1, 2, 3])]));
  return element("div", parts);
}

function ruleFacts(map, island, rule) {
  if (!rule.terms.length) return [element("p", "No short rule on the columns tells it from the rest.", { class: "quiet" })];
  const covered = eventShare(map, rule.covered);
  const events = covered.labelled ? ` ${eventText(map)} among them: ${percent(covered.share)} (${percent(covered.low)} to ${percent(covered.high)}).` : "";
  return [
    element("pre", ruleText(rule), { id: "rule" }),
    element("p", `${countText(rule.nCovered)} rows keep it; ${percent(rule.precision)} of them are in the island, and it covers ${percent(rule.coverage)} of the island.${events} Found on these rows: check it on others.`, { class: "quiet", id: "rule-figures" }),
  ];
}

function ruleText(rule) { return rule.terms.map(termText).join("\nAND "); }

function termText({ column, low, high, words }) {
  const name = `"${column.name.replaceAll('"', '""')}"`;
  if (words) return `${name} IN (${words.map((word) => `'${column.words[word].replaceAll("'", "''")}'`).join(", ")})`;
  const end = (value) => (column.kind === "date" ? `TIMESTAMP '${dateText(value)}'` : String(value));
  return [[low, ">"], [high, "<="]].filter(([value]) => isFinite(value)).map(([value, sign]) => `${name} ${sign} ${end(value)}`).join(" AND ");
}

function ruleFile(map, { rule, share }) {
  return [
    `-- ${map.title}: a rule for an island of ${share.rows} rows`,
    `-- ${rule.nCovered} rows of the map keep it, precision ${rule.precision.toFixed(4)}, coverage ${rule.coverage.toFixed(4)}`,
    `${ruleText(rule)}\n`,
  ].join("\n");
}

function memberTable(map, inside, choose) {
  const most = 100, members = [];
  for (let row = 0; row < map.n; row++) if (inside[row]) members.push(row);
  if (map.label) members.sort((a, b) => map.label[b] - map.label[a] || a - b);
  const shown = members.slice(0, most).map((row) => [rowLink(map, row, choose), ...(map.label ? [labelText(map, row)] : []), ...(map.score ? [shortNumber(map.score.values[row])] : [])]);
  const headings = ["row", ...(map.label ? [map.labelName] : []), ...(map.score ? [map.score.name] : [])];
  const rest = members.length > most ? [element("p", `The first ${most} of ${countText(members.length)}; the CSV has all.`, { class: "quiet" })] : [];
  return element("div", [tableOf("Rows of the island", headings, shown, map.score ? [headings.length - 1] : []), ...rest]);
}

function csvOf(map, inside) {
  const quote = (text) => (/[",\n\r]/.test(text) ? `"${String(text).replaceAll('"', '""')}"` : String(text));
  const lines = [["row", ...(map.ids ? [map.idName] : []), ...map.columns.map((column) => column.name)]];
  for (let row = 0; row < map.n; row++) {
    if (inside[row]) lines.push([map.rows[row], ...(map.ids ? [map.ids[row]] : []), ...map.columns.map((column) => plainValue(column, column.values[row]))]);
  }
  return lines.map((cells) => cells.map(quote).join(",")).join("\n") + "\n";
}

// The shortest text that reads back as the same 32-bit number.
function plainValue(column, value) {
  if (column.kind === "category") return column.words[value];
  if (value !== value) return "";
  if (column.kind === "date") return dateText(value);
  for (let digits = 6; digits <= 9; digits++) {
    const text = String(Number(value.toPrecision(digits)));
    if (Math.fround(Number(text)) === value) return text;
  }
  return String(value);
}

function fileButton(text, id, make) {
  const button = element("button", text, { type: "button", id });
  button.addEventListener("click", () => {
    const [name, type, content] = make();
    const link = element("a", "", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  return button;
}
