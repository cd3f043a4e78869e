// The finished clouds, one at a time or side by side. A value is {samples: [clouds for points.js, with part: base64 uint8],
// parts: [{name, rgb}], together, use, paint}. together: side by side at first. paint: "part" colours by part at first. use: words
// of a button for each sample, which sends "select".
const root = element.querySelector(".pc");
const find = (selector) => root.querySelector(selector);
const grid = find(".dv-grid"), picker = find(".pc-samples"), paints = find(".pc-paint"), legend = find(".pc-legend"), uses = find(".pc-use");
const space = pointClouds(grid, VIEWS, find(".dv-views"));
const FADED = 0.9, GREY = 140, ALL = -1;
let samples = [], parts = [], sample = 0, wished = null, paint = "rgb", chosen = new Set();

// The colours of the parts; where some are pointed out the others go grey.
function byPart(cloud) {
  const palette = parts.map(({ rgb }, part) => (chosen.size && !chosen.has(part) ? rgb.map((c) => c + (GREY - c) * FADED) : rgb));
  const rgb = new Uint8Array(cloud.xyz.length);
  cloud.part.forEach((part, i) => rgb.set(palette[part] || [GREY, GREY, GREY], 3 * i));
  return rgb;
}

function draw() {
  if (!samples.length) { grid.replaceChildren(...space.show([], [])); delete grid.dataset.seen; return; }
  const parted = paint === "part" && parts.length > 0, seen = sample === ALL ? [...samples.keys()] : [sample];
  const titles = seen.map((i) => `Sample ${i + 1} of ${samples.length}, ${samples[i].xyz.length / 3} points${parted ? ", coloured by part" : ""}`);
  const canvases = space.show(seen.map((i) => (parted ? { ...samples[i], rgb: byPart(samples[i]) } : samples[i])), titles);
  const across = seen.length > 4 ? 4 : Math.min(seen.length, 2);
  grid.style.setProperty("--across", across);
  grid.style.setProperty("--down", Math.ceil(seen.length / across));
  if (grid.dataset.seen !== String(seen)) grid.replaceChildren(...canvases.map((node, k) => tile(node, seen[k])));
  grid.dataset.seen = String(seen);
  legend.hidden = !parted;
  for (const button of picker.children) button.setAttribute("aria-pressed", Number(button.dataset.sample) === sample);
  for (const button of paints.children) button.setAttribute("aria-pressed", button.dataset.paint === paint);
  [...legend.children].forEach((button, part) => button.setAttribute("aria-pressed", chosen.has(part)));
}

// Side by side the samples are told apart by their numbers.
function tile(node, i) {
  if (sample !== ALL) return node;
  const made = document.createElement("figure"), number = document.createElement("figcaption");
  number.textContent = i + 1;
  made.append(node, number);
  return made;
}

function button(text, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", () => { act(); draw(); });
  return made;
}

function pick(text, i, title) {
  const made = button(text, () => { wished = sample = i; });
  made.dataset.sample = i;
  made.setAttribute("aria-label", title);
  return made;
}

function use(words, i) {
  const made = button(samples.length > 1 ? String(i + 1) : words, () => trigger("select", { index: i }));
  made.setAttribute("aria-label", samples.length > 1 ? `${words}: sample ${i + 1}` : words);
  return made;
}

function entry({ name, rgb }, part) {
  const made = button(name, () => { if (!chosen.delete(part)) chosen.add(part); }), swatch = document.createElement("i");
  swatch.style.background = `rgb(${rgb})`;
  made.prepend(swatch);
  return made;
}

function take() {
  const value = props.value;
  if (!value || !value.samples) return;
  samples = value.samples.map(space.read);
  parts = value.parts || [];
  chosen = new Set();
  const several = value.together && samples.length > 1;
  sample = Math.min(wished ?? ALL, samples.length - 1);
  if (sample === ALL && !several) sample = 0;
  paint = (parts.length && value.paint) || "rgb";
  picker.replaceChildren(...(several ? [pick("All", ALL, "All samples")] : []), ...samples.map((_, i) => pick(String(i + 1), i, `Sample ${i + 1}`)));
  uses.hidden = !value.use;
  uses.setAttribute("aria-label", value.use || "");
  uses.dataset.words = samples.length > 1 ? value.use : "";
  uses.replaceChildren(...(value.use ? samples.map((_, i) => use(value.use, i)) : []));
  picker.hidden = samples.length < 2;
  paints.hidden = !parts.length;
  legend.replaceChildren(...parts.map(entry));
  draw();
}
for (const button of paints.children) button.addEventListener("click", () => { paint = button.dataset.paint; draw(); });
watch("value", take);
take();
