// The playground's picture. A value is {run, frames: [...], paths: [...]}: the newest frames, numbered from noise to data,
// and at the end everything, because a busy page sees only the last of several values. Numbers are base64 int16 in 1/2000 of a unit, arrows int8, densities uint8. All looking around is local.
const root = element.querySelector(".pg");
const find = (selector) => root.querySelector(selector);
const canvas = find(".pg-canvas"), paint = canvas.getContext("2d"), slider = find(".pg-time input"), play = find(".pg-play");
const pick = find(".pg-pick select"), legend = find(".pg-legend"), SIDE = canvas.width, UNIT = 2000;
const LAYERS = [["heat", "Density", true], ["cloud", "Samples", true], ["score", "Score", false], ["velocity", "Velocity", false],
  ["denoise", "Step to the estimate", false], ["flow", "Flow map", false]];
const WORDS = {
  heat: "Darker is more likely.", cloud: "The same samples and noise at every time.",
  score: "Arrows point to where the noisy density grows.", velocity: "Arrows show the flow from noise to data.",
  denoise: "Arrows end at the mean of what the clean point can be, which is what a network learns.",
  flow: "A square grid of start noise, carried along by the flow." };
const shown = new Set(LAYERS.filter((layer) => layer[2]).map((layer) => layer[0])), hidden = new Set();
let run = null, known = {}, frames = [], paths = [], at = 0, follow = true, timer = null;

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const shorts = (text) => new Int16Array(bytes(text).buffer);
const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
const place = (value, reach) => (1 + value / reach) * SIDE / 2;

for (const [name, title, on] of LAYERS) {
  const label = document.createElement("label"), box = document.createElement("input");
  box.type = "checkbox"; box.checked = on; box.dataset.layer = name;
  box.addEventListener("change", () => { if (box.checked) shown.add(name); else shown.delete(name); draw(); });
  label.append(box, title);
  find(".pg-layers").append(label);
}

function heat(frame) {
  const side = Math.sqrt(frame.heat.length), small = document.createElement("canvas");
  small.width = small.height = side;
  const context = small.getContext("2d"), image = context.createImageData(side, side);
  const hue = colour("--heat").split(",").map(Number);
  for (let row = 0; row < side; row++) for (let column = 0; column < side; column++) {
    const pixel = 4 * (row * side + column);
    image.data.set([...hue, frame.heat[(side - 1 - row) * side + column] * 0.9], pixel);
  }
  context.putImageData(image, 0, 0);
  paint.imageSmoothingEnabled = true;
  paint.drawImage(small, 0, 0, SIDE, SIDE);
}

function cloud(frame) {
  paint.fillStyle = colour("--body-text-color");
  paint.globalAlpha = 0.75;
  for (let i = 0; i < frame.cloud.length; i += 2) {
    paint.beginPath();
    paint.arc(place(frame.cloud[i] / UNIT, frame.reach), place(-frame.cloud[i + 1] / UNIT, frame.reach), 4, 0, 7);
    paint.fill();
  }
  paint.globalAlpha = 1;
}

function arrows(values, style) {
  const cells = Math.sqrt(values.length / 2), gap = SIDE / (cells - 1), long = 0.95 * gap / 127;
  paint.strokeStyle = style; paint.fillStyle = style; paint.lineWidth = 3;
  for (let i = 0; i < cells * cells; i++) {
    const x = (i % cells) * gap, y = SIDE - Math.floor(i / cells) * gap;
    const dx = values[2 * i] * long, dy = -values[2 * i + 1] * long, length = Math.hypot(dx, dy);
    if (length < 2) continue;
    paint.beginPath(); paint.moveTo(x, y); paint.lineTo(x + dx, y + dy); paint.stroke();
    const head = Math.min(12, length), angle = Math.atan2(dy, dx);
    paint.beginPath();
    paint.moveTo(x + dx, y + dy);
    for (const turn of [2.6, -2.6]) paint.lineTo(x + dx + head * Math.cos(angle + turn), y + dy + head * Math.sin(angle + turn));
    paint.fill();
  }
}

function grid(frame) {
  const cells = Math.sqrt(frame.flow.length / 2);
  const point = (row, column) => { const i = 2 * (row * cells + column);
    return [place(frame.flow[i] / UNIT, frame.reach), place(-frame.flow[i + 1] / UNIT, frame.reach)]; };
  paint.strokeStyle = colour("--flow-line"); paint.lineWidth = 2.5;
  for (let a = 0; a < cells; a++) for (const across of [true, false]) {
    paint.beginPath();
    for (let b = 0; b < cells; b++) paint[b ? "lineTo" : "moveTo"](...(across ? point(a, b) : point(b, a)));
    paint.stroke();
  }
}

function lines(track, frame) {
  paint.strokeStyle = track.colour; paint.fillStyle = track.colour; paint.lineWidth = track.thin ? 2 : 3.5;
  paint.setLineDash(track.dash);
  const known = track.times.filter((t) => t >= frame.t - 1e-9).length;
  for (let sample = 0; sample < track.count; sample++) {
    const end = (step) => { const i = 2 * (step * track.count + sample);
      return [place(track.states[i] / UNIT, frame.reach), place(-track.states[i + 1] / UNIT, frame.reach)]; };
    paint.beginPath();
    for (let step = 0; step < known; step++) paint[step ? "lineTo" : "moveTo"](...end(step));
    paint.stroke();
    if (known && !track.thin) { paint.beginPath(); paint.arc(...end(known - 1), 5, 0, 7); paint.fill(); }
  }
  paint.setLineDash([]);
}

function draw() {
  const frame = frames[at];
  root.classList.toggle("pg-full", Boolean(frame));
  paint.clearRect(0, 0, SIDE, SIDE);
  if (!frame) return;
  if (shown.has("heat")) heat(frame);
  if (shown.has("flow")) grid(frame);
  if (shown.has("cloud")) cloud(frame);
  if (shown.has("score")) arrows(frame.score, colour("--score"));
  if (shown.has("velocity")) arrows(frame.velocity, colour("--velocity"));
  if (shown.has("denoise")) arrows(frame.denoise, colour("--denoise"));
  const group = paths[pick.selectedIndex - 1];
  for (const track of group ? group.tracks : []) if (!hidden.has(track.title)) lines(track, frame);
  slider.value = at;
  find(".pg-at").textContent = `Time ${frame.t.toFixed(2)}: signal ${frame.alpha.toFixed(2)}, noise ${frame.sigma.toFixed(2)}`;
  slider.setAttribute("aria-valuetext", find(".pg-at").textContent);
  find(".pg-words").textContent = [...LAYERS.filter(([name]) => shown.has(name)).map(([name]) => WORDS[name]),
    group ? group.words : ""].join(" ");
}

function list() {
  const group = paths[pick.selectedIndex - 1];
  legend.replaceChildren(...(group ? group.tracks : []).map((track) => {
    const line = document.createElement("li"), label = document.createElement("label"), box = document.createElement("input");
    const mark = document.createElement("i"), name = document.createElement("span"), facts = document.createElement("small");
    box.type = "checkbox"; box.checked = !hidden.has(track.title);
    box.addEventListener("change", () => { if (box.checked) hidden.delete(track.title); else hidden.add(track.title); draw(); });
    mark.style.borderTop = `3px ${["solid", "dashed", "dotted"][track.dash.length ? 1 + (track.dash[0] < 8) : 0]} ${track.colour}`;
    name.textContent = track.title; facts.textContent = track.facts;
    label.append(box, mark, name, facts); line.append(label);
    return line;
  }));
}

function still() { clearInterval(timer); timer = null; play.textContent = "Play from noise to data"; }
play.addEventListener("click", () => {
  if (timer) { still(); return; }
  if (at === frames.length - 1) at = 0;
  follow = false; play.textContent = "Pause";
  timer = setInterval(() => { if (at >= frames.length - 1) { still(); return; } at += 1; draw(); }, 160);
});
slider.addEventListener("input", () => { still(); at = Number(slider.value); follow = at === frames.length - 1; draw(); });
pick.addEventListener("change", () => { list(); draw(); });
new MutationObserver(draw).observe(document.body, { attributes: true, attributeFilter: ["class"] });

function take(value) {
  if (value.run !== run) { run = value.run; known = {}; frames = []; paths = []; at = 0; follow = true; hidden.clear(); still(); }
  for (const frame of value.frames || []) {
    known[frame.index] = known[frame.index] || ({ ...frame, heat: bytes(frame.heat), cloud: shorts(frame.cloud), flow: shorts(frame.flow),
      ...Object.fromEntries(["score", "velocity", "denoise"].map((name) => [name, new Int8Array(bytes(frame[name]).buffer)])) });
  }
  frames = Object.values(known);
  if (value.paths && value.paths.length && !paths.length) {
    const before = pick.value;
    paths = value.paths.map((group) => ({ ...group, tracks: group.tracks.map((track) => ({ ...track, states: shorts(track.states) })) }));
    pick.replaceChildren(...["none", ...paths.map((group) => group.title)].map((title) => new Option(title, title)));
    pick.value = [...pick.options].some((option) => option.value === before) && before !== "none" ? before : paths[0].title;
    pick.disabled = false;
    list();
  }
  slider.max = Math.max(0, frames.length - 1);
  slider.disabled = play.disabled = frames.length < 2;
  if (follow) at = Math.max(0, frames.length - 1);
  draw();
}
watch("value", () => { if (props.value && props.value.run) take(props.value); });
// A view that is seen for the first time fills itself. (The event "load" would come with the page, before its tab is open.)
if (!props.value || !props.value.run) new IntersectionObserver((entries, observer) => {
  if (!entries.some((entry) => entry.isIntersecting)) return;
  observer.disconnect();
  if (!run) trigger("expand");
}).observe(root);
