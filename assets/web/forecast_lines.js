// Smooth lines through coarse maps: interpolation, contours, labels. Joined with forecast.js.

// Catmull-Rom weights for values at -1, 0, 1, 2, at a share between 0 and 1: the curve goes through all values.
const catmull = (t) => [((2 - t) * t - 1) * t / 2, ((3 * t - 5) * t * t + 2) / 2, ((4 - 3 * t) * t + 1) * t / 2, (t - 1) * t * t / 2];

// A map with `factor` times as many steps in both directions.
function smoothed(values, rows, columns, factor) {
  const wide = (columns - 1) * factor + 1, high = (rows - 1) * factor + 1;
  const weights = Array.from({ length: factor }, (_, k) => catmull(k / factor));
  const half = new Float32Array(rows * wide), whole = new Float32Array(high * wide);
  const line = (read, count, long, write) => {
    for (let i = 0; i < long; i++) {
      const from = Math.min(Math.floor(i / factor), count - 1), part = i - from * factor;
      if (!part) { write(i, read(from)); continue; }
      const [a, b, c, d] = weights[part], next = from + 1;
      // Beyond an edge the line goes on straight.
      const before = from ? read(from - 1) : 2 * read(0) - read(1);
      const after = next + 1 < count ? read(next + 1) : 2 * read(next) - read(from);
      write(i, a * before + b * read(from) + c * read(next) + d * after);
    }
  };
  for (let y = 0; y < rows; y++) line((x) => values[y * columns + x], columns, wide, (i, value) => { half[y * wide + i] = value; });
  for (let x = 0; x < wide; x++) line((y) => half[y * wide + x], rows, high, (i, value) => { whole[i * wide + x] = value; });
  return { values: whole, rows: high, columns: wide, factor };
}

// Marching squares: the lines of one level as lists of [column, row] of the coarse map. Edges are numbered, so that pieces
// of neighbouring cells join into long lines.
function contourLines({ values, rows, columns, factor }, level) {
  const links = new Map(), points = new Map();
  const across = (i) => 2 * i, down = (i) => 2 * i + 1;
  const cut = (edge, i, j) => {
    if (!points.has(edge)) {
      const t = (level - values[i]) / (values[j] - values[i]);
      const x = i % columns, y = Math.floor(i / columns);
      points.set(edge, [(x + (edge % 2 ? 0 : t)) / factor, (y + (edge % 2 ? t : 0)) / factor]);
    }
    return edge;
  };
  const join = (a, b) => { for (const [from, to] of [[a, b], [b, a]]) { const list = links.get(from); if (list) list.push(to); else links.set(from, [to]); } };
  for (let y = 0; y + 1 < rows; y++) for (let x = 0; x + 1 < columns; x++) {
    const i = y * columns + x, corners = [i, i + 1, i + columns + 1, i + columns];
    let kind = 0;
    for (let k = 0; k < 4; k++) if (values[corners[k]] >= level) kind |= 1 << k;
    if (kind === 0 || kind === 15 || corners.some((corner) => Number.isNaN(values[corner]))) continue;
    const south = () => cut(across(i), i, i + 1), north = () => cut(across(i + columns), i + columns, i + columns + 1);
    const west = () => cut(down(i), i, i + columns), east = () => cut(down(i + 1), i + 1, i + columns + 1);
    if (kind === 1 || kind === 14) join(west(), south());
    else if (kind === 2 || kind === 13) join(south(), east());
    else if (kind === 4 || kind === 11) join(east(), north());
    else if (kind === 8 || kind === 7) join(north(), west());
    else if (kind === 3 || kind === 12) join(west(), east());
    else if (kind === 6 || kind === 9) join(south(), north());
    else {
      const middle = corners.reduce((sum, corner) => sum + values[corner], 0) / 4 >= level;
      if (middle === (kind === 5)) { join(west(), north()); join(south(), east()); } else { join(west(), south()); join(east(), north()); }
    }
  }
  return chained(links, points);
}

function chained(links, points) {
  const used = new Set(), found = [];
  const key = (a, b) => (a < b ? `${a} ${b}` : `${b} ${a}`);
  const walk = (start) => {
    const line = [points.get(start)];
    for (let at = start, next; (next = links.get(at).find((to) => !used.has(key(at, to)))) !== undefined; at = next) {
      used.add(key(at, next));
      line.push(points.get(next));
    }
    if (line.length > 1) found.push(line);
  };
  // Open lines first, from their ends; what is left are rings.
  for (const [edge, to] of links) if (to.length === 1) walk(edge);
  for (const edge of links.keys()) walk(edge);
  return found;
}

// Where a line of screen points can carry its number: the straightest part that is long enough and inside the sheet.
function labelPlace(line, wide, long, high) {
  let best = null;
  const stride = Math.max(1, Math.floor(line.length / 24));
  for (let i = 0; i < line.length; i += stride) {
    let j = i, way = 0;
    while (j + 1 < line.length && way < wide) { way += Math.hypot(line[j + 1][0] - line[j][0], line[j + 1][1] - line[j][1]); j++; }
    if (way < wide) break;
    const [a, b] = [line[i], line[j]], x = (a[0] + b[0]) / 2, y = (a[1] + b[1]) / 2;
    if (x < wide || y < 14 || x > long - wide || y > high - 14) continue;
    const straight = Math.hypot(b[0] - a[0], b[1] - a[1]) / way - Math.abs(x - long / 2) / long / 4;
    if (!best || straight > best.straight) best = { x, y, straight, angle: Math.atan2(b[1] - a[1], b[0] - a[0]) };
  }
  if (best && Math.abs(best.angle) > Math.PI / 2) best.angle += best.angle > 0 ? -Math.PI : Math.PI;
  return best;
}
