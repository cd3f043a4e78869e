// How a mask and its maps are drawn over the picture, pixel by pixel of the screen. Joined with mask.js.
// Okabe and Ito's colours, which people without full colour vision tell apart.
const COLOURS = [[86, 180, 233], [230, 159, 0], [0, 158, 115], [240, 228, 66], [204, 121, 167], [213, 94, 0], [0, 114, 178]];
const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];
const scale256 = Array.from({ length: 256 }, (_, i) => {
  const at = i / 255 * (VIRIDIS.length - 1), low = Math.min(Math.floor(at), VIRIDIS.length - 2), part = at - low;
  return VIRIDIS[low].map((value, c) => Math.round(value * (1 - part) + VIRIDIS[low + 1][c] * part));
});

const places = (count, start, size, most) => Int32Array.from({ length: count }, (_, i) => {
  const at = Math.floor(start + (i + 0.5) / size);
  return at >= 0 && at < most ? at : -1;
});

function heated(out, columns, rows) {
  const alpha = Math.round(opacity.value * 2.55);
  for (let j = 0, p = 0; j < rows.length; j++) for (let i = 0; i < columns.length; i++, p += 4) {
    if (rows[j] < 0 || columns[i] < 0) continue;
    const value = heat[rows[j] * data.width + columns[i]], colour = scale256[value];
    out[p] = colour[0]; out[p + 1] = colour[1]; out[p + 2] = colour[2]; out[p + 3] = alpha;
  }
}

// Lines are as wide on the screen at every zoom; a dark rim outside keeps them visible on bright pictures.
function masked(out, columns, rows, line) {
  const wide = columns.length, high = rows.length, names = new Uint16Array(wide * high);
  const fill = style === "both" ? Math.round(opacity.value * 2.55) : 0, strong = Math.max(fill, 235);
  for (let j = 0, k = 0; j < high; j++) for (let i = 0; i < wide; i++, k++)
    if (rows[j] >= 0 && columns[i] >= 0) names[k] = shown[rows[j] * data.width + columns[i]];
  for (let j = 0, k = 0; j < high; j++) for (let i = 0; i < wide; i++, k++) {
    const name = names[k], reach = name && name === chosen ? 2 * line : line;
    const right = i + reach < wide ? names[k + reach] : name, west = i >= reach ? names[k - reach] : name;
    const south = j + reach < high ? names[k + reach * wide] : name, north = j >= reach ? names[k - reach * wide] : name;
    const edge = right !== name || west !== name || south !== name || north !== name;
    if (!name) { if (edge) out[4 * k + 3] = 110; continue; }
    const colour = COLOURS[name % COLOURS.length];
    out[4 * k] = colour[0]; out[4 * k + 1] = colour[1]; out[4 * k + 2] = colour[2]; out[4 * k + 3] = edge ? strong : fill;
  }
}

function names(size) {
  if (!data.labels || view === "sample") return;
  context.font = `600 ${Math.round(12 * ratio)}px system-ui, sans-serif`;
  context.textAlign = "center"; context.textBaseline = "middle"; context.lineWidth = 3 * ratio;
  context.lineJoin = "round"; context.strokeStyle = "rgb(10 16 20 / 85%)"; context.fillStyle = "#fff";
  for (const entry of objects) {
    if (Math.sqrt(entry.area) * size < 24 * ratio && entry.name !== chosen) continue;
    const x = (entry.x - left + 0.5) * size, y = (entry.y - above + 0.5) * size;
    context.strokeText(entry.number, x, y); context.fillText(entry.number, x, y);
  }
}

function ring(size) {
  if (tool === "move" || !cursor || view !== "fused") return;
  const x = (cursor[0] - left) * size, y = (cursor[1] - above) * size, radius = Math.max(brush.value / 2 * size, 3);
  for (const [colour, width] of [["rgb(0 0 0 / 70%)", 3.5], ["#fff", 1.5]]) {
    context.beginPath(); context.arc(x, y, radius, 0, 7);
    context.lineWidth = width * ratio; context.strokeStyle = colour; context.setLineDash(tool === "erase" ? [5 * ratio, 4 * ratio] : []);
    context.stroke();
  }
  context.setLineDash([]);
}
