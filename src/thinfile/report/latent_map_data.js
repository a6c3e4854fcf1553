// The page's data: typed arrays, deflated, as text in the page itself.

// Bytes lie in planes, first bytes first: planes of one kind deflate far better.
function unplane(bytes, width) {
  const n = bytes.length / width;
  const joined = new Uint8Array(bytes.length);
  for (let plane = 0; plane < width; plane++) {
    for (let at = 0; at < n; at++) joined[at * width + plane] = bytes[plane * n + at];
  }
  return joined.buffer;
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function readBlob(name) {
  const element = document.getElementById("blob-" + name);
  const bytes = await inflate(fromBase64(element.textContent));
  const kind = element.dataset.kind;
  element.remove(); // the text would take its memory twice
  if (kind === "text") return new TextDecoder().decode(bytes).split("\n");
  if (kind === "u1") return bytes;
  if (kind === "u2") return new Uint16Array(unplane(bytes, 2));
  if (kind === "i4") return new Int32Array(unplane(bytes, 4));
  return new Float32Array(unplane(bytes, 4));
}

async function readMap() {
  const meta = JSON.parse(document.getElementById("meta").textContent);
  const map = { ...meta, positions: await readBlob("positions") };
  map.rows = await readBlob("rows");
  map.neighbours = await readBlob("neighbours");
  map.distances = await readBlob("distances");
  map.label = meta.label ? Int8Array.from(await readBlob("label"), (v) => v - 1) : null;
  map.ids = meta.id ? await readBlob("ids") : null;
  for (const [at, column] of map.columns.entries()) {
    const raw = await readBlob("column-" + at);
    column.values = column.table ? expand(raw, await readBlob("table-" + at)) : raw;
  }
  return map;
}

// A number with few distinct values is stored as its place among them.
function expand(places, table) {
  const values = new Float32Array(places.length);
  for (let at = 0; at < places.length; at++) values[at] = table[places[at]];
  return values;
}
