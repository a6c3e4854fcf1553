// Drawing: WebGL, or without it pixels of a 2-D canvas. Both take the same view and colours.

const VERTEX = `
attribute vec2 place; attribute vec4 colour; attribute float grow;
uniform vec2 centre, scale; uniform float size;
varying vec4 shade;
void main() {
  gl_Position = vec4((place - centre) * scale, 0.0, 1.0);
  gl_PointSize = size * (1.0 + grow);
  shade = colour;
}`;
const FRAGMENT = `
precision mediump float;
varying vec4 shade;
void main() {
  vec2 from = gl_PointCoord - 0.5;
  float edge = 1.0 - smoothstep(0.2, 0.25, dot(from, from));
  if (edge <= 0.0) discard;
  gl_FragColor = vec4(shade.rgb * shade.a * edge, shade.a * edge);
}`;

function makePainter(canvas, map, order) {
  const options = { antialias: false, alpha: true, premultipliedAlpha: true };
  // Without a graphics card a browser works WebGL out by itself, slower than we set the pixels.
  // The address may ask for it all the same: map.html#webgl.
  const wanted = location.hash === "#webgl" || (location.hash !== "#canvas" && hasGraphicsCard());
  const gl = wanted ? canvas.getContext("webgl", options) : null;
  return gl ? glPainter(gl, canvas, map, order) : flatPainter(canvas, map, order);
}

function hasGraphicsCard() {
  const gl = document.createElement("canvas").getContext("webgl", { failIfMajorPerformanceCaveat: true });
  if (!gl) return false;
  const told = gl.getExtension("WEBGL_debug_renderer_info");
  const name = told ? gl.getParameter(told.UNMASKED_RENDERER_WEBGL) : "";
  return !/swiftshader|llvmpipe|software|basic render/i.test(name);
}

function glPainter(gl, canvas, map, order) {
  let program, buffers;
  const n = map.n;
  const places = new Float32Array(2 * n), colours = new Uint8Array(4 * n), grow = new Float32Array(n);
  order.forEach((row, at) => places.set([map.positions[2 * row], map.positions[2 * row + 1]], 2 * at));

  function start() {
    program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    buffers = [["place", places, 2, gl.FLOAT], ["colour", colours, 4, gl.UNSIGNED_BYTE], ["grow", grow, 1, gl.FLOAT]]
      .map(([name, data, width, type]) => {
        const buffer = gl.createBuffer(), at = gl.getAttribLocation(program, name);
        gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
        gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
        gl.enableVertexAttribArray(at);
        gl.vertexAttribPointer(at, width, type, type === gl.UNSIGNED_BYTE, 0, 0);
        return buffer;
      });
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  start();
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => { start(); canvas.dispatchEvent(new Event("redraw")); });
  return {
    kind: "WebGL",
    recolour(rgba, larger) {
      order.forEach((row, at) => {
        for (let part = 0; part < 4; part++) colours[4 * at + part] = rgba[4 * row + part];
        grow[at] = larger[row];
      });
      [colours, grow].forEach((data, at) => {
        gl.bindBuffer(gl.ARRAY_BUFFER, buffers[at + 1]);
        gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      });
    },
    draw(view, size) {
      const ratio = canvas.width / view.width;
      const at = (name) => gl.getUniformLocation(program, name);
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniform2f(at("centre"), view.x, view.y);
      gl.uniform2f(at("scale"), (2 * view.scale) / view.width, (2 * view.scale) / view.height);
      gl.uniform1f(at("size"), size * ratio);
      gl.drawArrays(gl.POINTS, 0, n);
    },
  };
}

const HURRIED_POINTS = 25000;

function flatPainter(canvas, map, order) {
  const context = canvas.getContext("2d");
  let rgba = null, larger = null, events = 0;
  return {
    kind: "canvas",
    recolour(newColours, newLarger) {
      [rgba, larger] = [newColours, newLarger];
      events = order.findIndex((row) => larger[row] > 0);
      if (events < 0) events = order.length;
    },
    draw(view, size, hurried) {
      const step = hurried ? Math.ceil(order.length / HURRIED_POINTS) : 1; // but every event
      const { width, height } = canvas, ratio = width / view.width;
      const image = context.createImageData(width, height), pixels = image.data.fill(255);
      const zoom = view.scale * ratio, middle = [width / 2 - view.x * zoom, height / 2 + view.y * zoom];
      for (let place = 0; place < order.length; place += place < events ? step : 1) {
        const row = order[place];
        const side = Math.max(1, Math.round(size * ratio * 0.85 * (1 + larger[row])));
        const left = Math.round(middle[0] + map.positions[2 * row] * zoom - side / 2);
        const top = Math.round(middle[1] - map.positions[2 * row + 1] * zoom - side / 2);
        if (left > width || top > height || left + side < 0 || top + side < 0) continue;
        const at = 4 * row;
        square(pixels, width, height, left, top, side, rgba[at], rgba[at + 1], rgba[at + 2], rgba[at + 3] / 255);
      }
      context.putImageData(image, 0, 0);
    },
  };
}

// The innermost loop of all: no arrays, no closures.
function square(pixels, width, height, left, top, side, red, green, blue, share) {
  const right = Math.min(width, left + side), bottom = Math.min(height, top + side);
  for (let v = Math.max(0, top); v < bottom; v++) {
    for (let u = Math.max(0, left); u < right; u++) {
      const at = 4 * (v * width + u);
      pixels[at] += (red - pixels[at]) * share;
      pixels[at + 1] += (green - pixels[at + 1]) * share;
      pixels[at + 2] += (blue - pixels[at + 2]) * share;
    }
  }
}

function toScreen(view, x, y) {
  return [view.width / 2 + (x - view.x) * view.scale, view.height / 2 - (y - view.y) * view.scale];
}

function toMap(view, x, y) {
  return [view.x + (x - view.width / 2) / view.scale, view.y - (y - view.height / 2) / view.scale];
}

// Rows by cell of the map, to find the one under the mouse without asking all.
function makeGrid(map) {
  const { positions, n } = map;
  const box = boundsOf(positions);
  const side = Math.max(1, Math.ceil(Math.sqrt(n / 4)));
  const cell = Math.max(box.right - box.left, box.top - box.bottom, 1e-9) / side;
  const cells = new Map();
  const key = (x, y) => Math.floor((x - box.left) / cell) + (side + 2) * Math.floor((y - box.bottom) / cell);
  for (let row = 0; row < n; row++) {
    const at = key(positions[2 * row], positions[2 * row + 1]);
    if (cells.has(at)) cells.get(at).push(row); else cells.set(at, [row]);
  }
  return {
    nearest(x, y, radius) {
      let best = -1, least = radius * radius;
      const reach = Math.min(side, Math.ceil(radius / cell));
      for (let u = -reach; u <= reach; u++) {
        for (let v = -reach; v <= reach; v++) {
          for (const row of cells.get(key(x + u * cell, y + v * cell)) || []) {
            const square = (positions[2 * row] - x) ** 2 + (positions[2 * row + 1] - y) ** 2;
            if (square <= least) { least = square; best = row; }
          }
        }
      }
      return best;
    },
  };
}

function boundsOf(positions) {
  const box = { left: Infinity, right: -Infinity, bottom: Infinity, top: -Infinity };
  for (let at = 0; at < positions.length; at += 2) {
    box.left = Math.min(box.left, positions[at]);
    box.right = Math.max(box.right, positions[at]);
    box.bottom = Math.min(box.bottom, positions[at + 1]);
    box.top = Math.max(box.top, positions[at + 1]);
  }
  return box;
}
