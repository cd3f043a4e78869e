// A map on a canvas: shading, contours, coasts, grid, members' lines, tracks. Joined with forecast.js.
// All scales rise or fall evenly in lightness, the one for differences on both sides, so that they read without colour.
const SCALES = {
  values: [[46, 78, 148], [55, 118, 170], [82, 158, 176], [134, 193, 172], [196, 222, 176], [240, 240, 200], [255, 252, 236]],
  spread: [[252, 250, 246], [232, 216, 230], [200, 166, 206], [158, 112, 174], [112, 64, 138], [68, 28, 98]],
  chance: [[251, 250, 246], [214, 228, 240], [160, 196, 224], [112, 168, 212], [68, 132, 190], [32, 92, 152]],
  difference: [[10, 62, 118], [52, 122, 184], [134, 182, 218], [214, 228, 238], [248, 245, 238], [250, 222, 184], [240, 172, 100], [204, 108, 28], [128, 56, 4]],
};
const INK = "#101a20", EARTH_KM = 6371;
const tableOf = (anchors) => Uint32Array.from({ length: 256 }, (_, i) => {
  const at = i / 255 * (anchors.length - 1), low = Math.min(Math.floor(at), anchors.length - 2), part = at - low;
  const [r, g, b] = anchors[low].map((value, c) => Math.round(value * (1 - part) + anchors[low + 1][c] * part));
  return (255 << 24 | b << 16 | g << 8 | r) >>> 0;
});
const TABLES = Object.fromEntries(Object.entries(SCALES).map(([name, anchors]) => [name, tableOf(anchors)]));
const SMOOTH = 6;

// Where a value lies among rising ones, as a fractional index within the list.
function indexIn(list, value) {
  let low = 0;
  while (low < list.length - 2 && list[low + 1] <= value) low++;
  return Math.min(Math.max(low + (value - list[low]) / (list[low + 1] - list[low]), 0), list.length - 1);
}
const at = (list, index) => {
  const low = Math.min(Math.floor(index), list.length - 2);
  return list[low] + (index - low) * (list[low + 1] - list[low]);
};

// Pixels of the canvas for places of one grid. Degrees of longitude are as wide as in the middle of the map.
function projection({ lat, lon }, wide, high) {
  const west = lon[0], south = lat[0], across = wide / (lon.at(-1) - west), up = high / (lat.at(-1) - south);
  return {
    wide, high, across, up,
    x: (value) => (value - west) * across, y: (value) => high - (value - south) * up,
    lon: (x) => west + x / across, lat: (y) => south + (high - y) / up,
  };
}
const shapeOf = ({ lat, lon }) => {
  const middle = (lat[0] + lat.at(-1)) / 2 * Math.PI / 180;
  return (lon.at(-1) - lon[0]) * Math.cos(middle) / (lat.at(-1) - lat[0]);
};

function shade(context, place, grid, sheet, [low, high], table) {
  const { wide, high: tall } = place, image = context.createImageData(wide, tall), out = new Uint32Array(image.data.buffer);
  const axis = (count, value, list) => {
    const from = new Int32Array(count), part = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const index = indexIn(list, value(i + 0.5)) * sheet.factor;
      from[i] = Math.min(Math.floor(index), (list.length - 1) * sheet.factor - 1); part[i] = index - from[i];
    }
    return [from, part];
  };
  const [columns, xs] = axis(wide, place.lon, grid.lon), [rows, ys] = axis(tall, place.lat, grid.lat);
  const { values, columns: stride } = sheet, gain = 255 / (high - low);
  for (let j = 0, p = 0; j < tall; j++) {
    const below = rows[j] * stride, above = below + stride, t = ys[j];
    for (let i = 0; i < wide; i++, p++) {
      const c = columns[i], s = xs[i];
      const first = values[below + c] + s * (values[below + c + 1] - values[below + c]);
      const second = values[above + c] + s * (values[above + c + 1] - values[above + c]);
      const level = (first + t * (second - first) - low) * gain;
      if (level === level) out[p] = table[level < 0 ? 0 : level > 255 ? 255 : level | 0];
    }
  }
  context.putImageData(image, 0, 0);
}

const valueAt = (sheet, grid, lat, lon) => {
  const y = indexIn(grid.lat, lat) * sheet.factor, x = indexIn(grid.lon, lon) * sheet.factor;
  const row = Math.min(Math.floor(y), sheet.rows - 2), column = Math.min(Math.floor(x), sheet.columns - 2), i = row * sheet.columns + column;
  const { values, columns } = sheet, s = x - column, t = y - row;
  return (1 - t) * ((1 - s) * values[i] + s * values[i + 1]) + t * ((1 - s) * values[i + columns] + s * values[i + columns + 1]);
};

function strokes(context, lines, style) {
  context.save();
  Object.assign(context, { lineJoin: "round", lineCap: "round", ...style });
  context.setLineDash(style.dash || []);
  context.beginPath();
  for (const line of lines) line.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
  context.restore();
}

const drawn = (lines, grid, place) => lines.map((line) => line.map(([column, row]) => [place.x(at(grid.lon, column)), place.y(at(grid.lat, row))]));

function written(context, text, x, y, { size, ink, halo, align = "center", angle = 0 }) {
  context.save();
  context.translate(x, y); context.rotate(angle);
  context.font = `${size}px system-ui, sans-serif`;
  Object.assign(context, { textAlign: align, textBaseline: "middle", lineJoin: "round", lineWidth: size / 3.4, strokeStyle: halo, fillStyle: ink });
  context.strokeText(text, 0, 0); context.fillText(text, 0, 0);
  context.restore();
}

function contoured(context, place, grid, sheet, levels, say, { ratio, ink, halo, faint = 0.62 }) {
  const taken = [];
  for (const level of levels) {
    const lines = drawn(contourLines(sheet, level), grid, place);
    strokes(context, lines, { strokeStyle: ink, lineWidth: 1.1 * ratio, globalAlpha: faint });
    const text = say(level);
    for (const line of lines.sort((a, b) => b.length - a.length).slice(0, 2)) {
      const wide = (10 + 7 * text.length) * ratio, spot = labelPlace(line, wide, place.wide, place.high);
      if (!spot || taken.some(([x, y]) => Math.abs(x - spot.x) < wide && Math.abs(y - spot.y) < 17 * ratio)) continue;
      taken.push([spot.x, spot.y]);
      written(context, text, spot.x, spot.y, { size: 11 * ratio, ink, halo, angle: spot.angle });
    }
  }
}

function graticule(context, place, grid, { ratio, ink, halo }) {
  const step = grid.lon.at(-1) - grid.lon[0] > 180 ? 30 : place.wide / ratio < 480 ? 20 : 10, inside = (list, low, high) => list.filter((value) => value > low && value < high);
  const range = (list, by) => inside(ticksOf(list[0], list.at(-1), (list.at(-1) - list[0]) / by), list[0], list.at(-1)).filter((value) => Math.abs(value / by % 1) < 1e-6);
  const lats = range(grid.lat, step), lons = range(grid.lon, step * 2);
  const lines = [...lats.map((lat) => [[0, place.y(lat)], [place.wide, place.y(lat)]]), ...lons.map((lon) => [[place.x(lon), 0], [place.x(lon), place.high]])];
  strokes(context, lines, { strokeStyle: ink, lineWidth: ratio, globalAlpha: 0.2 });
  const style = { size: 10.5 * ratio, ink, halo };
  for (const lat of lats) written(context, latSaid(lat), 5 * ratio, place.y(lat), { ...style, align: "left" });
  for (const lon of lons) written(context, lonSaid(lon), place.x(lon), place.high - 9 * ratio, style);
}

function coasts(context, place, coast, { ratio, land, halo }) {
  const lines = coast.map((line) => line.map(([lon, lat]) => [place.x(lon), place.y(lat)]));
  strokes(context, lines, { strokeStyle: halo, lineWidth: 3 * ratio, globalAlpha: 0.5 });
  strokes(context, lines, { strokeStyle: land, lineWidth: 1.4 * ratio });
}

// Grid and coasts stay the same while time goes on, so they are drawn once for each size and look.
const backdrops = new Map();
function backdrop(place, grid, style, gridded) {
  const key = [place.wide, place.high, style.ink, style.land, gridded].join(" ");
  if (!backdrops.has(key)) {
    const canvas = document.createElement("canvas");
    canvas.width = place.wide; canvas.height = place.high;
    const context = canvas.getContext("2d");
    if (gridded) graticule(context, place, grid, style);
    coasts(context, place, grid.coast, style);
    if (backdrops.size > 3) backdrops.clear();
    backdrops.set(key, canvas);
  }
  return backdrops.get(key);
}

// Tracks of all members until now, where each low is now, and the mean way of the lows that many share with its spread.
function stormy(context, place, storms, hours, say, { ratio, ink, halo, thread, strong }) {
  const way = (rows, lat, lon) => rows.map((row) => [place.x(row[lon]), place.y(row[lat])]);
  const until = (rows, lead) => rows.filter((row) => row[lead] <= hours);
  const dot = ([x, y], radius, fill) => { context.beginPath(); context.arc(x, y, radius, 0, 7); context.fillStyle = fill; context.fill(); };
  strokes(context, storms.tracks.map((track) => way(until(track, 1), 2, 3)), { strokeStyle: thread, lineWidth: 1.1 * ratio, globalAlpha: 0.5 });
  for (const track of storms.tracks) for (const row of track) if (row[1] === hours) dot([place.x(row[3]), place.y(row[2])], 2.6 * ratio, thread);
  for (const group of storms.groups) {
    const past = until(group, 0), now = group.find((row) => row[0] === hours), line = way(past, 1, 2);
    strokes(context, [line], { strokeStyle: halo, lineWidth: 5 * ratio, globalAlpha: 0.7 });
    strokes(context, [line], { strokeStyle: strong, lineWidth: 2.6 * ratio, globalAlpha: now ? 1 : 0.55 });
    for (const point of line) dot(point, 2.6 * ratio, strong);
    if (!now) continue;
    const [, lat, lon, pressure, count, long, short, angle] = now, x = place.x(lon), y = place.y(lat);
    const km = place.up * 180 / Math.PI / EARTH_KM, stretch = place.across / place.up / Math.cos(lat * Math.PI / 180);
    context.save();
    context.translate(x, y); context.scale(stretch, 1); context.rotate(-angle * Math.PI / 180);
    context.beginPath(); context.ellipse(0, 0, Math.max(long * km, 1), Math.max(short * km, 1), 0, 0, 7);
    context.globalAlpha = 0.24; context.fillStyle = strong; context.fill();
    context.globalAlpha = 1; context.strokeStyle = strong; context.lineWidth = 1.4 * ratio; context.stroke();
    context.restore();
    const edge = x > place.wide - 90 * ratio;
    written(context, `${say(pressure)}, ${count} members`, x + (edge ? -9 : 9) * ratio, y - 12 * ratio, { size: 11.5 * ratio, ink, halo, align: edge ? "right" : "left" });
  }
}

function crosshair(context, place, lat, lon, ratio) {
  const x = place.x(lon), y = place.y(lat), arms = [[-13, 0, -4, 0], [4, 0, 13, 0], [0, -13, 0, -4], [0, 4, 0, 13]];
  const lines = arms.map(([a, b, c, d]) => [[x + a * ratio, y + b * ratio], [x + c * ratio, y + d * ratio]]);
  strokes(context, lines, { strokeStyle: "#fff", lineWidth: 5.5 * ratio });
  strokes(context, lines, { strokeStyle: INK, lineWidth: 2.6 * ratio });
}
