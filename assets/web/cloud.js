// The finished clouds, one at a time. A value is {samples: [clouds for points.js, with part: base64 uint8], parts: [{name, rgb}]}.
const root = element.querySelector(".pc");
const find = (selector) => root.querySelector(selector);
const grid = find(".dv-grid"), picker = find(".pc-samples"), paints = find(".pc-paint"), legend = find(".pc-legend");
const space = pointClouds(grid, VIEWS, find(".dv-views"));
const FADED = 0.9, GREY = 140;
let samples = [], parts = [], sample = 0, paint = "rgb", chosen = new Set();

// The colours of the parts; where some are pointed out the others go grey.
function byPart(cloud) {
  const palette = parts.map(({ rgb }, part) => (chosen.size && !chosen.has(part) ? rgb.map((c) => c + (GREY - c) * FADED) : rgb));
  const rgb = new Uint8Array(cloud.xyz.length);
  cloud.part.forEach((part, i) => rgb.set(palette[part] || [GREY, GREY, GREY], 3 * i));
  return rgb;
}

function draw() {
  const cloud = samples[sample];
  if (!cloud) { grid.replaceChildren(...space.show([], [])); return; }
  const parted = paint === "part" && cloud.part;
  const title = `Sample ${sample + 1} of ${samples.length}, ${cloud.xyz.length / 3} points${parted ? ", coloured by part" : ""}`;
  const canvases = space.show([parted ? { ...cloud, rgb: byPart(cloud) } : cloud], [title]);
  if (grid.firstChild !== canvases[0]) grid.replaceChildren(...canvases);
  legend.hidden = !parted;
  [...picker.children].forEach((button, i) => button.setAttribute("aria-pressed", i === sample));
  for (const button of paints.children) button.setAttribute("aria-pressed", button.dataset.paint === paint);
  [...legend.children].forEach((button, part) => button.setAttribute("aria-pressed", chosen.has(part)));
}

function button(text, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", () => { act(); draw(); });
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
  sample = Math.min(sample, samples.length - 1);
  if (!parts.length) paint = "rgb";
  picker.replaceChildren(...samples.map((_, i) => {
    const made = button(String(i + 1), () => { sample = i; });
    made.setAttribute("aria-label", `Sample ${i + 1}`);
    return made;
  }));
  picker.hidden = samples.length < 2;
  paints.hidden = !parts.length;
  legend.replaceChildren(...parts.map(entry));
  draw();
}
for (const button of paints.children) button.addEventListener("click", () => { paint = button.dataset.paint; draw(); });
watch("value", take);
take();
