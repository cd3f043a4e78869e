// The slices of a scan that a person works on: each keeps its corrections and their undo while others are looked at, and
// from run to run. Joined with mask.js, whose settings it reads.
// works: by scan and target. A slot is {run, data, edits, edited, past, future, width, height}; its data, the unpacked value, can
// be asked for again with {run, slice}.
const works = new Map(), WORKS = 4, UNPACKED = 12;
const slider = find(".mk-slice");
let work = null, slot = null, index = 0, wanted = 0, recent = [];

// Notes what a run found; tells whether it is a new run.
function noted(value) {
  const found = works.get(value.work) || { slices: new Map(), runs: new Set(), told: null, threshold: 0, depth: value.depth };
  works.delete(value.work);
  works.set(value.work, found);
  if (works.size > WORKS) works.delete(works.keys().next().value);
  if (found.runs.has(value.run)) return false;
  found.runs.add(value.run);
  for (const at of value.slices) {
    const before = found.slices.get(at) || { edits: null, edited: false, past: [], future: [], width: 1, height: 1 };
    found.slices.set(at, { ...before, run: value.run, data: null });
  }
  return true;
}

function filled(target, unpacked) {
  target.data = unpacked;
  recent = [...recent.filter((other) => other !== target), target];
  if (recent.length > UNPACKED) recent.shift().data = null;
  const { width, height } = unpacked;
  if (!target.edits) target.edits = new Uint8Array(width * height);
  else if (target.width !== width || target.height !== height) refit(target, width, height);
  target.width = width; target.height = height;
}

// Pictures that are too large to send come in a size that may differ from run to run.
function refit(target, width, height) {
  const edits = new Uint8Array(width * height);
  for (let y = 0, i = 0; y < height; y++) for (let x = 0; x < width; x++, i++)
    edits[i] = target.edits[Math.floor((y + 0.5) * target.height / height) * target.width + Math.floor((x + 0.5) * target.width / width)];
  target.edits = edits; target.past = []; target.future = [];
}

function turned(at) {
  if (stroke) ended();
  index = wanted = at;
  slot = work.slices.get(at);
  recent = [...recent.filter((other) => other !== slot), slot];
  data = slot.data; edits = slot.edits; chosen = 0;
  sample = Math.min(sample, data.samples.length - 1);
}

const order = () => [...work.slices.keys()].sort((a, b) => a - b);

function asked(at) {
  if (!work || !work.slices.has(at) || at === wanted) return;
  wanted = at;
  const other = work.slices.get(at);
  if (other.data) { turned(at); refreshed(); return; }
  props.value = { run: other.run, slice: at };
  trigger("select");
}

function stepped(change) {
  const all = work ? order() : [];
  asked(all[Math.min(Math.max(all.indexOf(wanted) + change, 0), all.length - 1)]);
}

function marked() {
  const all = order();
  find(".mk-slices").hidden = find(".mk-edited").hidden = all.length < 2;
  slider.max = all.length - 1; slider.value = all.indexOf(wanted);
  find(".mk-slice-at").textContent = `${index + 1} of ${work.depth}`;
  const edited = all.filter((at) => work.slices.get(at).edited).map((at) => at + 1);
  find(".mk-edited").textContent = edited.length ? `Corrected: slice${edited.length > 1 ? "s" : ""} ${edited.join(", ")}. Saving keeps all of them.` : "Corrections stay with their slice when you move to another one.";
}

async function deflated(values) {
  const bytes = new Uint8Array(await new Response(new Blob([values]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

async function saved() {
  const slices = await Promise.all(order().map(async (at) => {
    const one = work.slices.get(at);
    return [at, one.run, [one.width, one.height], one.edited ? await deflated(one.edits) : ""];
  }));
  props.value = { run: slot.run, slice: index, threshold: cut() / PER_ONE, slices };
  trigger("submit");
}

slider.addEventListener("input", () => asked(order()[slider.value]));
find(".mk-before").addEventListener("click", () => stepped(-1));
find(".mk-after").addEventListener("click", () => stepped(1));
