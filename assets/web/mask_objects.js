// What a mask consists of: its arrays unpacked, its objects numbered and measured. Joined with mask.js, whose data, edits
// and settings it reads.
const root = element.querySelector(".mk"), find = (selector) => root.querySelector(selector);
async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
}

async function plane(text, width) {
  const values = await inflated(text);
  for (let row = 0; row < values.length; row += width)
    for (let i = row + 1; i < row + width; i++) values[i] = values[i] + values[i - 1] & 255;
  return values;
}

async function loaded(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
}

const inMask = (i, at) => edits[i] === PAINTED || (edits[i] !== ERASED && data.probability[i] > at);

// Which object each pixel belongs to. Painted pixels join the object that they touch most; what the eraser cuts apart
// counts as several; specks too small for the program stay uncounted. ui/segmentation/correction.py has the same rules.
function numbered() {
  const { width, height, labels, probability } = data, at = cut(), size = width * height;
  const found = new Uint16Array(size);
  if (!labels) { for (let i = 0; i < size; i++) found[i] = inMask(i, at) ? 1 : 0; return found; }
  const cutApart = new Set(), loose = [];
  let most = 0;
  for (let i = 0; i < size; i++) {
    if (labels[i] > most) most = labels[i];
    if (edits[i] === ERASED && probability[i] > at && labels[i]) cutApart.add(labels[i]);
    if (!inMask(i, at)) continue;
    found[i] = labels[i];
    if (!labels[i]) loose.push(i);
  }
  if (!loose.length && !cutApart.size) return found;
  const done = new Uint8Array(size);
  for (const start of loose) {
    if (done[start]) continue;
    const touched = new Map();
    const part = flood(start, (i) => !labels[i] && inMask(i, at), done, (i) => { if (found[i] && labels[i]) touched.set(found[i], (touched.get(found[i]) || 0) + 1); });
    const joined = [...touched].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0];
    const name = joined ? joined[0] : part.some((i) => edits[i] === PAINTED) ? ++most : SPECK;
    for (const i of part) found[i] = name;
  }
  if (cutApart.size) {
    done.fill(0);
    const kept = new Set();
    for (let i = 0; i < size; i++) {
      const name = found[i];
      if (done[i] || !cutApart.has(name)) continue;
      const part = flood(i, (j) => found[j] === name, done, () => {});
      if (kept.has(name)) { most += 1; for (const j of part) found[j] = most; }
      else kept.add(name);
    }
  }
  return found;
}

// The 4-connected pixels around `start` that belong; `beside` hears of every neighbour that does not.
function flood(start, belongs, done, beside) {
  const { width, height } = data, part = [start];
  done[start] = 1;
  for (let k = 0; k < part.length; k++) {
    const i = part[k], x = i % width;
    const around = [x > 0 ? i - 1 : -1, x < width - 1 ? i + 1 : -1, i - width, i + width < width * height ? i + width : -1];
    for (const j of around) {
      if (j < 0 || done[j]) continue;
      if (belongs(j)) { done[j] = 1; part.push(j); } else beside(j);
    }
  }
  return part;
}

function sampleValue(entry, i) {
  const x = i % data.width, y = (i - x) / data.width;
  const column = Math.min(entry.size[0] - 1, Math.floor((x + 0.5) * entry.size[0] / data.width));
  return entry.values[Math.min(entry.size[1] - 1, Math.floor((y + 0.5) * entry.size[1] / data.height)) * entry.size[0] + column];
}

const sampleCut = () => cut() / PER_ONE * 255;
const agreeing = (i) => data.samples.reduce((count, entry) => count + (sampleValue(entry, i) > sampleCut()), 0);

function measure() {
  const { width } = data, found = new Map();
  let entry = null;
  for (let i = 0; i < shown.length; i++) {
    const name = shown[i];
    if (!name) continue;
    if (!entry || entry.name !== name) {
      entry = found.get(name);
      if (!entry) found.set(name, entry = { name, area: 0, x: 0, y: 0, sum: 0 });
    }
    entry.area += 1; entry.x += i % width; entry.y += Math.floor(i / width); entry.sum += data.probability[i];
  }
  total = [...found.values()].reduce((sum, entry) => sum + entry.area, 0);
  found.delete(SPECK);
  objects = [...found.values()].sort((a, b) => a.y / a.area - b.y / b.area || a.x / a.area - b.x / b.area);
  objects.forEach((entry, k) => { entry.number = k + 1; entry.x /= entry.area; entry.y /= entry.area; });
  if (!found.has(chosen)) chosen = 0;
}

const nice = (value) => value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en").replace(/,/g, "\u202f") : value >= 10 ? value.toFixed(1) : value.toPrecision(2);
const areaOf = (pixels) => {
  const original = pixels * data.scale ** 2;
  return `${nice(original)} px${data.pixel_mm ? `, ${nice(original * data.pixel_mm[0] * data.pixel_mm[1])} mm²` : ""}`;
};
