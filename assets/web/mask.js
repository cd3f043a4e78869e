// A picture under its mask: threshold, samples, agreement and doubt act in the page alone; a brush corrects.
// A value is {run, size: [w, h], scale, pixel_mm, threshold, least, noun, nouns, picture: data URI, probability, labels, doubt:
// {data, top}, samples: [{data, size}]}. Arrays are base64 of deflated bytes, each row as differences from left to right:
// probability in 200ths rounded up (a pixel above the threshold is in the mask), labels as two planes (low bytes, high bytes), samples and doubt in 255ths. scale: pixels of the
// original along one of these. Further {work, slice, slices, depth}: work is equal for runs of one scan and target, slice the
// index of this one, slices those of its run, depth how many the scan has. "Save" sends {run, slice, threshold, slices: [[index,
// run, [w, h], edits], ...]}, edits deflated like the arrays, without differences: 1 painted, 2 erased.
const stage = find(".mk-stage"), canvas = find(".mk-canvas"), context = canvas.getContext("2d");
const overlay = document.createElement("canvas"), ink = overlay.getContext("2d");
const threshold = find(".mk-threshold"), opacity = find(".mk-opacity"), brush = find(".mk-brush input");
const SPECK = 65535, PER_ONE = 200, PAINTED = 1, ERASED = 2, UNDO = 50, MAX_ZOOM = 40;
const seen = { fused: 45, sample: 45, agreement: 80, doubt: 80 };
let data = null, view = "fused", style = "both", tool = "move", sample = 0, chosen = 0;
let shown = null, shownMax = 0, heat = null, edits = null, stroke = null;
let zoom = 1, left = 0, above = 0, ratio = 1, pointers = new Map(), pinch = null, cursor = null, drawing = false, waiting = false;
let objects = [], total = 0;

async function take() {
  const value = props.value;
  if (!value || !value.run || !value.picture) return;
  const fresh = noted(value), mine = works.get(value.work), target = mine.slices.get(value.slice);
  if (fresh) { work = mine; wanted = value.slice; }
  if (target.run !== value.run || target.data) return;
  const [width, height] = value.size;
  const [picture, probability, labels, doubt, samples] = await Promise.all([
    loaded(value.picture), plane(value.probability, width), value.labels ? plane(value.labels, width) : null,
    value.doubt ? plane(value.doubt.data, width) : null,
    Promise.all(value.samples.map(async (entry) => ({ size: entry.size, values: await plane(entry.data, entry.size[0]) })))]);
  if (target !== mine.slices.get(value.slice)) return;
  let numbers = null;
  if (labels) {
    const pixels = width * height;
    numbers = new Uint16Array(pixels);
    for (let i = 0; i < pixels; i++) numbers[i] = labels[i] | labels[pixels + i] << 8;
  }
  filled(target, { ...value, width, height, picture, probability, labels: numbers, doubt, doubtTop: value.doubt?.top, samples });
  if (work !== mine || wanted !== value.slice) return;
  turned(value.slice);
  if (fresh) begun(value); else refreshed();
}

// A new run: the controls start anew, but a threshold that a person chose stays until the settings name another one.
function begun(value) {
  sample = 0; cursor = null;
  threshold.min = Math.round(value.least * PER_ONE); threshold.max = Math.round(0.95 * PER_ONE);
  threshold.value = value.threshold === work.told ? work.threshold : Math.round(value.threshold * PER_ONE);
  work.told = value.threshold; work.threshold = cut();
  brush.max = Math.max(16, Math.round(Math.max(data.width, data.height) / 6)); brush.value = Math.max(3, Math.round(Math.max(data.width, data.height) / 30));
  view = "fused";
  refreshed();
  pick("move"); fit();
}

function refreshed() {
  const many = data.samples.length > 1;
  for (const name of ["sample", "agreement", "doubt"]) find(`.mk-views [data-view=${name}]`).hidden = !many;
  stage.style.setProperty("--shape", `${data.width} / ${data.height}`);
  thumbs(); tools(); choose(view);
}

const cut = () => Number(threshold.value);
function update() {
  if (!data) return;
  const size = data.width * data.height;
  find(".mk-at").textContent = (cut() / PER_ONE).toFixed(2);
  shown = view === "sample" ? new Uint16Array(size) : numbered();
  heat = null;
  if (view === "sample") { const entry = data.samples[sample], at = sampleCut(); for (let i = 0; i < size; i++) shown[i] = sampleValue(entry, i) > at ? 1 : 0; }
  if (view === "agreement") {
    heat = new Uint8Array(size);
    for (const entry of data.samples) { const at = sampleCut(); for (let i = 0; i < size; i++) heat[i] += sampleValue(entry, i) > at; }
    for (let i = 0; i < size; i++) heat[i] = Math.round(heat[i] * 255 / data.samples.length);
  }
  if (view === "doubt") heat = data.doubt;
  measure();
  count();
  draw();
}

function count() {
  const share = 100 * total / (data.width * data.height);
  const words = [data.labels && view !== "sample" ? `${objects.length} ${objects.length === 1 ? data.noun : data.nouns}` : "", `area ${areaOf(total)}`, `${share.toFixed(1)} % of the picture`];
  const whose = view === "sample" ? `Sample ${sample + 1} of ${data.samples.length}: ` : edits.some((edit) => edit) ? "Corrected: " : data.samples.length > 1 ? "Mask of all samples together: " : "";
  find(".mk-counts").textContent = whose + words.filter(Boolean).join(" · ");
  list();
}

function list() {
  const box = find(".mk-list"), useful = Boolean(data.labels) && view !== "sample";
  box.hidden = !useful;
  if (!useful || !box.open) return;
  find(".mk-rows").replaceChildren(...objects.map((entry) => {
    const row = document.createElement("button"), mark = document.createElement("i");
    row.type = "button";
    row.setAttribute("aria-pressed", entry.name === chosen);
    mark.style.background = `rgb(${COLOURS[entry.name % COLOURS.length]})`;
    row.append(mark, `${entry.number}: ${areaOf(entry.area)}, mean probability ${(entry.sum / entry.area / PER_ONE).toFixed(2)}`);
    row.addEventListener("click", () => {
      chosen = entry.name;
      zoom = Math.max(zoom, Math.min(8, base().fit && Math.sqrt(data.width * data.height / entry.area) / 4));
      const size = unit();
      left = entry.x - stage.clientWidth / size / 2; above = entry.y - stage.clientHeight / size / 2;
      for (const other of find(".mk-rows").children) other.setAttribute("aria-pressed", other === row);
      told(Math.floor(entry.y) * data.width + Math.floor(entry.x), entry);
      held(); draw();
    });
    return row;
  }));
}

// Screen pixels of one picture pixel.
const base = () => ({ fit: Math.min(stage.clientWidth / data.width, stage.clientHeight / data.height) });
const unit = () => base().fit * zoom;

function held() {
  const wide = stage.clientWidth / unit(), high = stage.clientHeight / unit();
  left = wide >= data.width ? (data.width - wide) / 2 : Math.min(Math.max(left, 0), data.width - wide);
  above = high >= data.height ? (data.height - high) / 2 : Math.min(Math.max(above, 0), data.height - high);
  stage.style.touchAction = tool !== "move" || zoom > 1.01 ? "none" : "pan-y";
}

function fit() { zoom = 1; left = above = 0; draw(); }

function zoomed(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  if (!data) return;
  const before = unit(), at = [left + x / before, above + y / before];
  zoom = Math.min(Math.max(zoom * factor, 1), MAX_ZOOM);
  left = at[0] - x / unit(); above = at[1] - y / unit();
  draw();
}

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; paint(); });
}

function paint() {
  if (!data || !stage.clientWidth) return;
  held();
  ratio = Math.min(window.devicePixelRatio || 1, 2);
  const wide = Math.round(stage.clientWidth * ratio), high = Math.round(stage.clientHeight * ratio), size = unit() * ratio;
  if (canvas.width !== wide || canvas.height !== high) { canvas.width = wide; canvas.height = high; }
  context.clearRect(0, 0, wide, high);
  context.imageSmoothingEnabled = size < 3;
  context.drawImage(data.picture, -left * size, -above * size, data.width * size, data.height * size);
  const columns = places(wide, left, size, data.width), rows = places(high, above, size, data.height);
  const pixels = ink.createImageData(wide, high);
  if (heat) heated(pixels.data, columns, rows); else masked(pixels.data, columns, rows, Math.max(2, Math.round(1.5 * ratio)));
  overlay.width = wide; overlay.height = high;
  ink.putImageData(pixels, 0, 0);
  context.drawImage(overlay, 0, 0);
  if (!heat) { names(size); }
  ring(size);
}

function thumbs() {
  const box = find(".mk-thumbs");
  box.replaceChildren(...data.samples.map((entry, k) => {
    const button = document.createElement("button"), small = document.createElement("canvas");
    button.type = "button"; button.setAttribute("aria-label", `Sample ${k + 1}`); button.title = `Sample ${k + 1}`;
    const shrink = 56 / Math.max(data.width, data.height);
    small.width = Math.max(1, Math.round(data.width * shrink)); small.height = Math.max(1, Math.round(data.height * shrink));
    button.append(small);
    button.addEventListener("click", () => { sample = k; choose("sample"); });
    return button;
  }));
}

function inked() {
  if (view !== "sample") return;
  [...find(".mk-thumbs").children].forEach((button, k) => {
    const small = button.firstChild, brushed = small.getContext("2d"), entry = data.samples[k], at = sampleCut();
    const pixels = brushed.createImageData(small.width, small.height);
    for (let y = 0, p = 0; y < small.height; y++) for (let x = 0; x < small.width; x++, p += 4) {
      const i = Math.floor((y + 0.5) * data.height / small.height) * data.width + Math.floor((x + 0.5) * data.width / small.width);
      pixels.data.set(sampleValue(entry, i) > at ? [255, 255, 255, 255] : [38, 50, 58, 255], p);
    }
    brushed.putImageData(pixels, 0, 0);
    button.setAttribute("aria-pressed", k === sample);
  });
}

const WORDS = {
  fused: () => data.samples.length > 1 ? `All ${data.samples.length} samples together.` : "The mask of the only sample.",
  sample: () => `Sample ${sample + 1} of ${data.samples.length}: one mask that is as plausible as the others.`,
  agreement: () => `How many of the ${data.samples.length} samples mark a pixel at this threshold.`,
  doubt: () => "Where not to trust the mask: how much the samples differ.",
};

function choose(name) {
  view = name; root.dataset.view = name;
  for (const button of root.querySelectorAll(".mk-views button")) button.setAttribute("aria-pressed", button.dataset.view === name);
  opacity.value = seen[name];
  find(".mk-words").textContent = WORDS[name]();
  find(".mk-samples").hidden = name !== "sample";
  const legend = find(".mk-legend"), mapped = name === "agreement" || name === "doubt";
  legend.hidden = !mapped;
  if (mapped) {
    const bar = legend.querySelector("canvas"), colours = bar.getContext("2d");
    for (let i = 0; i < 200; i++) { colours.fillStyle = `rgb(${scale256[Math.round(i / 199 * 255)]})`; colours.fillRect(i, 0, 1, 1); }
    find(".mk-low").textContent = name === "agreement" ? "none" : "0, all agree";
    find(".mk-high").textContent = name === "agreement" ? `all ${data.samples.length}` : `${data.doubtTop.toFixed(2)} (standard deviation)`;
  }
  if (name !== "fused") pick("move");
  find(".mk-help").hidden = name !== "fused";
  threshold.disabled = name === "doubt"; threshold.parentElement.classList.toggle("mk-off", threshold.disabled);
  find(".mk-style").classList.toggle("mk-off", mapped);
  for (const button of root.querySelectorAll(".mk-style button")) button.disabled = mapped;
  update(); inked();
}

function told(i, entry) {
  const line = find(".mk-read");
  if (i === null) { line.textContent = "\u00a0"; return; }
  const parts = [`probability ${(data.probability[i] / PER_ONE).toFixed(2)}`];
  if (data.doubt && data.samples.length > 1) parts.push(`doubt ${(data.doubt[i] / 255 * data.doubtTop).toFixed(2)}`, `${agreeing(i)} of ${data.samples.length} samples`);
  const own = entry || (data.labels && shown[i] && view !== "sample" ? objects.find((found) => found.name === shown[i]) : null);
  line.textContent = (own && data.labels ? `${data.noun[0].toUpperCase()}${data.noun.slice(1)} ${own.number} (${areaOf(own.area)}): ` : "") + parts.join(" · ");
}

const place = (event) => {
  const box = stage.getBoundingClientRect();
  return [left + (event.clientX - box.left) / unit(), above + (event.clientY - box.top) / unit()];
};
const indexAt = ([x, y]) => x >= 0 && y >= 0 && x < data.width && y < data.height ? Math.floor(y) * data.width + Math.floor(x) : null;

function stamp(from, to) {
  const radius = brush.value / 2, length = Math.hypot(to[0] - from[0], to[1] - from[1]), what = tool === "paint" ? PAINTED : ERASED;
  const steps = Math.max(1, Math.ceil(length / Math.max(radius / 2, 0.5)));
  for (let s = 0; s <= steps; s++) {
    const x = from[0] + (to[0] - from[0]) * s / steps, y = from[1] + (to[1] - from[1]) * s / steps;
    for (let row = Math.max(0, Math.floor(y - radius)); row <= Math.min(data.height - 1, y + radius); row++)
      for (let column = Math.max(0, Math.floor(x - radius)); column <= Math.min(data.width - 1, x + radius); column++) {
        const near = Math.hypot(column + 0.5 - x, row + 0.5 - y) <= radius || (row === Math.floor(y) && column === Math.floor(x));
        const i = row * data.width + column;
        if (!near || edits[i] === what) continue;
        if (!stroke.has(i)) stroke.set(i, edits[i]);
        edits[i] = what;
        // Until the stroke ends pixels belong to a neighbour or to nothing; then all is numbered anew.
        shown[i] = what === ERASED ? 0 : shown[i] || (data.labels?.[i] || 1);
      }
  }
  draw();
}

function ended() {
  if (!stroke) return;
  if (stroke.size) { slot.past.push(stroke); if (slot.past.length > UNDO) slot.past.shift(); slot.future = []; }
  stroke = null;
  tools(); update();
}

function swapped(changes) {
  const before = new Map();
  for (const [i, edit] of changes) { before.set(i, edits[i]); edits[i] = edit; }
  return before;
}

function back() { if (slot.past.length) { slot.future.push(swapped(slot.past.pop())); tools(); choose("fused"); } }
function again() { if (slot.future.length) { slot.past.push(swapped(slot.future.pop())); tools(); choose("fused"); } }

function tools() {
  slot.edited = edits.some((edit) => edit);
  find(".mk-undo").disabled = !slot.past.length; find(".mk-redo").disabled = !slot.future.length;
  find(".mk-reset").disabled = !slot.edited;
  marked();
  find(".mk-px").textContent = `${brush.value} px`;
}

function pick(name) {
  tool = name; root.dataset.tool = name;
  for (const button of root.querySelectorAll(".mk-tools button")) button.setAttribute("aria-pressed", button.dataset.tool === name);
  stage.setAttribute("aria-label", `Picture with its mask. ${name === "move" ? "Arrow keys move, plus and minus zoom." : "Arrow keys move the brush, Space draws, brackets change its size."}`);
  if (name !== "move" && view !== "fused") choose("fused");
  draw();
}

function sized(change) {
  brush.value = Math.max(1, Number(brush.value) + change * Math.max(1, Math.round(brush.value / 5)));
  tools(); draw();
}

function moving(event) {
  if (!data) return;
  const here = place(event);
  const known = pointers.get(event.pointerId);
  if (known) pointers.set(event.pointerId, { ...known, x: event.clientX, y: event.clientY });
  if (pointers.size === 2) {
    const [a, b] = [...pointers.values()], box = stage.getBoundingClientRect(), apart = Math.hypot(a.x - b.x, a.y - b.y);
    if (pinch) zoomed(apart / pinch, (a.x + b.x) / 2 - box.left, (a.y + b.y) / 2 - box.top);
    pinch = apart;
    return;
  }
  if (stroke) { stamp(cursor, here); cursor = here; return; }
  cursor = here;
  if (known && tool === "move") {
    left -= (event.clientX - known.x) / unit(); above -= (event.clientY - known.y) / unit();
  }
  told(indexAt(here));
  if (known || tool !== "move") draw();
}

stage.addEventListener("pointerdown", (event) => {
  if (!data || event.button || event.target.closest("button")) return;
  stage.focus({ preventScroll: true });
  try { stage.setPointerCapture(event.pointerId); } catch { /* the pointer has gone */ }
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  if (pointers.size > 1) { if (stroke) { swapped(stroke); stroke = null; update(); } return; }
  cursor = place(event);
  if (tool === "move") { const i = indexAt(cursor); chosen = i !== null && data.labels && view !== "sample" ? shown[i] : 0; told(i); list(); draw(); return; }
  stroke = new Map();
  stamp(cursor, cursor);
  event.preventDefault();
});
stage.addEventListener("pointermove", moving);
for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (event) => { pointers.delete(event.pointerId); pinch = null; ended(); });
stage.addEventListener("pointerleave", () => { if (!stroke) { cursor = null; told(null); draw(); } });
stage.addEventListener("wheel", (event) => {
  // A wheel over a picture that nobody works on scrolls the page.
  if (!data || !(event.ctrlKey || document.activeElement === stage)) return;
  event.preventDefault();
  const box = stage.getBoundingClientRect();
  zoomed(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

stage.addEventListener("keydown", (event) => {
  if (!data || event.target !== stage || event.ctrlKey || event.metaKey || event.altKey) return;
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (arrows && tool !== "move" && !event.shiftKey) {
    const step = Math.max(1, brush.value / 2);
    cursor = cursor || [left + stage.clientWidth / unit() / 2, above + stage.clientHeight / unit() / 2];
    cursor = [Math.min(Math.max(cursor[0] + arrows[0] * step, 0), data.width - 1), Math.min(Math.max(cursor[1] + arrows[1] * step, 0), data.height - 1)];
    told(indexAt(cursor)); draw();
  } else if (arrows) { left += arrows[0] * 40 / unit(); above += arrows[1] * 40 / unit(); draw(); }
  else if (event.key === "+" || event.key === "=") zoomed(1.5);
  else if (event.key === "-") zoomed(1 / 1.5);
  else if (event.key === "0") fit();
  else if (event.key === "PageUp" || event.key === "PageDown") stepped(event.key === "PageUp" ? -1 : 1);
  else if (event.key === " " && tool !== "move" && cursor) { stroke = new Map(); stamp(cursor, cursor); ended(); }
  else return;
  event.preventDefault();
});
root.addEventListener("keydown", (event) => {
  if (!data || event.target.matches("input[type=text], input[type=number], textarea")) return;
  const key = event.key.toLowerCase(), control = event.ctrlKey || event.metaKey;
  if (key === "[" || key === "]") sized(key === "[" ? -1 : 1);
  else if (control && key === "z") (event.shiftKey ? again : back)();
  else if (control && key === "y") again();
  else return;
  event.preventDefault();
});

for (const button of root.querySelectorAll(".mk-views button")) button.addEventListener("click", () => data && choose(button.dataset.view));
for (const button of root.querySelectorAll(".mk-tools button")) button.addEventListener("click", () => data && pick(button.dataset.tool));
for (const button of root.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => {
  if (!data) return;
  if (Number(button.dataset.zoom)) zoomed(Number(button.dataset.zoom)); else fit();
});
for (const button of root.querySelectorAll(".mk-style button")) button.addEventListener("click", () => {
  style = button.dataset.style;
  for (const other of root.querySelectorAll(".mk-style button")) other.setAttribute("aria-pressed", other === button);
  draw();
});
for (const [name, step] of [[".mk-previous", -1], [".mk-next", 1]]) find(name).addEventListener("click", () => {
  sample = (sample + step + data.samples.length) % data.samples.length;
  choose("sample");
});
threshold.addEventListener("input", () => {
  work.threshold = cut();
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; update(); inked(); });
});
opacity.addEventListener("input", () => { seen[view] = Number(opacity.value); draw(); });
brush.addEventListener("input", () => { tools(); draw(); });
find(".mk-list").addEventListener("toggle", () => data && list());
find(".mk-undo").addEventListener("click", back);
find(".mk-redo").addEventListener("click", again);
find(".mk-reset").addEventListener("click", () => {
  slot.past.push(swapped(new Map([...edits.entries()].filter(([, edit]) => edit).map(([i]) => [i, 0])))); slot.future = [];
  tools(); choose("fused");
});
find(".mk-save").addEventListener("click", () => data && saved());
new ResizeObserver(draw).observe(stage);
watch("value", take);
take();
