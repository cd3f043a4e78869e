// An arrangement of teeth: from before to after, several samples, movement and contacts in colours, a table beside.
// The value is what ui/teeth/scene.py makes. The chosen tooth is marked in the picture and in the table alike.
const root = element.querySelector(".tv");
const find = (selector) => root.querySelector(selector);
const way = find(".tv-way"), play = find(".tv-play"), track = find(".tv-track"), legend = find(".tv-legend"), read = find(".tv-read"), hint = find(".tv-tip");
const ghost = find(".tv-ghost"), arches = find(".tv-arches"), numbers = find(".tv-numbers"), head = find(".tv-table thead"), body = find(".tv-table tbody");
const END = 1000, PLAY_MS = [2200, 6000], STAGE_MS = 160, SPOT_MM = 2.4, FULL_MM = 1, FAINT = 0.25;
// From ivory to violet, ever darker, so that it can be read without colour vision; overlaps vermilion, gaps blue (Okabe and Ito).
const SCALE = [[244, 236, 219], [250, 205, 130], [238, 140, 80], [196, 70, 104], [112, 30, 120]], OVERLAP = [214, 74, 0], GAP = [20, 110, 190], PLAIN = [236, 231, 220];
let value = null, scene = null, tracks = [], chosen = -1, hovered = -1, jaw = "both", paint = "ivory", playing = 0, sorted = { column: -1, falling: true };

const made = (tag, text, name) => { const node = document.createElement(tag); if (text !== undefined) node.textContent = text; if (name) node.className = name; return node; };
const part = () => way.value / END;
const signed = (number, digits = 1) => `${number > 0 ? "+" : ""}${number.toFixed(digits)}`.replace("-", "−").replace(/^[+−](0\.0+)$/, "$1");

function ramp(share) {
  const place = Math.min(1, Math.max(0, share)) * (SCALE.length - 1), low = Math.min(Math.floor(place), SCALE.length - 2);
  return SCALE[low].map((n, c) => n + (SCALE[low + 1][c] - n) * (place - low));
}
const top = () => Math.max(1, Math.ceil(Math.max(...tracks.flatMap((entry) => entry.totals.map(({ mm }) => mm)))));
const filled = (tooth, rgb) => { const out = new Float32Array(tooth.vertices.length); for (let i = 0; i < out.length; i += 3) out.set(rgb, i); return out; };
const sized = ({ mm, beside }) => (mm < -0.1 ? { rgb: OVERLAP, share: FAINT + (1 - FAINT) * Math.min(1, -mm / FULL_MM) } : beside && mm > 0.3 ? { rgb: GAP, share: FAINT + (1 - FAINT) * Math.min(1, mm / 2 / FULL_MM) } : null);

// Contacts are measured at the start and at the goal; on the way the nearer of the two is shown.
const atEnd = (contact, end) => ({ mm: contact.mm[end], beside: contact.beside, spots: contact.spots[end] });
const nearestEnd = () => (part() < 0.5 ? 0 : 1);

function stained(tooth, index, end) {
  const rgb = filled(tooth, PLAIN), { vertices } = tooth;
  for (const contact of value.contacts) {
    const side = contact.teeth.indexOf(index), mark = side < 0 ? null : sized(atEnd(contact, end));
    if (!mark) continue;
    const [x, y, z] = contact.spots[end][side];
    for (let i = 0; i < vertices.length; i += 3) {
      const near = 1 - Math.hypot(vertices[i] - x, vertices[i + 1] - y, vertices[i + 2] - z) / SPOT_MM;
      if (near <= 0) continue;
      const share = Math.min(1, 1.8 * near) * mark.share;
      for (let c = 0; c < 3; c++) rgb[i + c] += (mark.rgb[c] - rgb[i + c]) * share;
    }
  }
  return rgb;
}

function dressed() {
  const current = tracks[track.value], most = top();
  scene.teeth.forEach((tooth, i) => {
    tooth.moved = filled(tooth, ramp(current.totals[i].mm / most));
    tooth.stains = tooth.stains || [stained(tooth, i, 0), stained(tooth, i, 1)];
  });
}

const isGoal = () => Number(track.value) === 0;
const seenTooth = (tooth) => jaw === "both" || (jaw === "upper") === tooth.upper;
function draw() {
  const current = tracks[track.value], share = part(), contacts = paint === "contacts";
  return { poses: current.at(share), shown: seenTooth, shine: paint === "ivory" ? 42 : 22, chosen: hovered >= 0 ? hovered : chosen,
    ghost: ghost.checked && share > 0 ? scene.poses : null,
    paint: (tooth) => (contacts ? tooth.stains[isGoal() ? nearestEnd() : 0] : paint === "movement" ? tooth.moved : tooth.ivory) };
}

function label(context, look, text, x, y, bold) {
  context.font = `${bold ? 650 : 550} 12px ${look.font}`;
  const width = context.measureText(text).width + 8;
  context.fillStyle = look.behind;
  context.beginPath();
  context.roundRect(x - width / 2, y - 9, width, 18, 5);
  context.fill();
  context.fillStyle = look.words;
  context.textAlign = "center"; context.textBaseline = "middle";
  context.fillText(text, x, y + 0.5);
}

function line(context, seen, points, colour, dash) {
  context.beginPath();
  points.forEach((point, i) => { if (point.includes(null)) return; const [x, y] = seen.at(point); if (i) context.lineTo(x, y); else context.moveTo(x, y); });
  context.setLineDash(dash); context.lineWidth = 2; context.strokeStyle = colour; context.stroke(); context.setLineDash([]);
}

// Arch curves, numbers and distances, over the picture in words and lines that stay sharp.
function over(context, seen, look) {
  const poses = tracks[track.value].at(part());
  if (arches.checked) ["upper", "lower"].forEach((name, k) => {
    if (jaw !== "both" && jaw !== name) return;
    line(context, seen, value.arches.before[k], `rgb(${look.ghost})`, [6, 5]);
    line(context, seen, value.arches.after[k], `rgb(${look.accent})`, []);
  });
  const taken = [];
  const free = (x, y) => taken.every(([a, b]) => Math.abs(a - x) > 30 || Math.abs(b - y) > 17) && taken.push([x, y]);
  if (paint === "contacts" && isGoal()) for (const contact of value.contacts) {
    const here = atEnd(contact, nearestEnd()), mark = sized(here);
    if (!mark || !contact.teeth.every((i) => seenTooth(scene.teeth[i]))) continue;
    const ends = contact.teeth.map((i, side) => world(poses[i], here.spots[side])), [x, y, z] = seen.at(ends[0].map((n, k) => (n + ends[1][k]) / 2));
    if (z > seen.depth(x, y) - 3 && free(x, y)) label(context, look, `${here.mm < 0 ? "✕" : "↔"} ${contact.words[nearestEnd()]}`, x, y, here.mm < 0);
  }
  const count = numbers.checked || paint === "movement";
  if (count) scene.teeth.forEach((tooth, i) => {
    if (!seenTooth(tooth)) return;
    const [x, y] = seen.at(poses[i].slice(9));
    if (seen.tooth(x, y) !== i || !free(x, y)) return;
    const mm = tracks[track.value].totals[i].mm.toFixed(1);
    label(context, look, paint === "movement" ? (numbers.checked ? `${tooth.fdi}: ${mm}` : mm) : String(tooth.fdi), x, y, i === chosen);
  });
}
const world = (pose, p) => [0, 1, 2].map((k) => pose[3 * k] * p[0] + pose[3 * k + 1] * p[1] + pose[3 * k + 2] * p[2] + pose[9 + k]);

const stage = teethStage(find(".tv-host"), VIEWS, find(".dv-views"), { draw, over,
  hover: (index) => { hovered = index; tell(); stage.redraw(); },
  pick: (index) => choose(index === chosen ? -1 : index),
  viewed: (view) => { jaw = view[3] > 0 ? "lower" : view[4] < 1 ? "upper" : "both"; press(); } });

function sentence(i) {
  const { fdi, name, cells } = value.rows[i], { mm, deg } = tracks[track.value].totals[i];
  const words = `${fdi}, ${name}: moved ${mm.toFixed(1)} mm, turned ${deg.toFixed(0)}°`;
  if (!isGoal()) return `${words} in ${tracks[track.value].title.toLowerCase()}.`;
  const parts = cells.slice(0, 6).map((cell, k) => (cell.number === null ? "" : `${value.columns[k].title.toLowerCase()} ${signed(cell.number)} ${value.columns[k].unit}`)).filter(Boolean);
  return `${words} (${parts.join(", ")}).`;
}

function tell() {
  const i = hovered >= 0 ? hovered : chosen;
  hint.hidden = hovered < 0;
  if (hovered >= 0) hint.textContent = `${value.rows[hovered].fdi}: ${tracks[track.value].totals[hovered].mm.toFixed(1)} mm`;
  read.textContent = chosen >= 0 ? sentence(chosen) : "Point at a tooth, or press one, to read its movement.";
  [...body.children].forEach((row) => { row.classList.toggle("tv-chosen", Number(row.dataset.tooth) === i); row.querySelector("button").setAttribute("aria-pressed", Number(row.dataset.tooth) === chosen); });
}

// Mark a tooth in the picture and in the table, whose own box scrolls to it and never the page.
function choose(index, byTable) {
  chosen = index;
  tell();
  const row = body.querySelector(".tv-chosen"), box = find(".tv-scroll");
  if (row && !byTable) {
    const head_ = head.getBoundingClientRect().height, above = row.offsetTop - head_, below = row.offsetTop + row.offsetHeight - box.clientHeight;
    if (box.scrollTop > above) box.scrollTop = above; else if (box.scrollTop < below) box.scrollTop = below;
  }
  stage.redraw();
}

function titles() {
  const row = made("tr"), corner = made("th");
  corner.scope = "col";
  const button = (text, column, about) => {
    const press_ = made("button", text);
    press_.type = "button"; press_.title = about;
    press_.addEventListener("click", () => { sorted = sorted.column === column ? (sorted.falling ? { column, falling: false } : { column: -1, falling: true }) : { column, falling: true }; table(); head.querySelectorAll("button")[column + 1].focus(); });
    return press_;
  };
  corner.append(button("Tooth", -1, "FDI number; brings the first order back"));
  row.append(corner, ...value.columns.map((column, k) => {
    const cell = made("th");
    cell.scope = "col";
    if (sorted.column === k) cell.setAttribute("aria-sort", sorted.falling ? "descending" : "ascending");
    const title = button(column.title, k, column.about);
    title.append(made("small", column.unit));
    cell.append(title);
    return cell;
  }));
  head.replaceChildren(row);
}

function table() {
  titles();
  const order = value.rows.map((_, i) => i), size = (i) => { const { number } = value.rows[i].cells[sorted.column]; return number === null ? -1 : Math.abs(number); };
  if (sorted.column >= 0) order.sort((a, b) => (sorted.falling ? size(b) - size(a) : size(a) - size(b)));
  body.replaceChildren(...order.map((i) => {
    const { fdi, name, cells } = value.rows[i], row = made("tr"), title = made("th"), button = made("button", String(fdi));
    row.dataset.tooth = i;
    title.scope = "row"; button.type = "button"; button.title = name; button.setAttribute("aria-label", `Tooth ${fdi}, ${name}`);
    button.addEventListener("click", () => choose(i === chosen ? -1 : i, true));
    title.append(button);
    row.append(title, ...cells.map((cell) => { const node = made("td", cell.text); if (cell.spread) node.append(" ", made("small", cell.spread)); return node; }));
    return row;
  }));
  tell();
}

function keys() {
  legend.replaceChildren();
  const swatch = (rgb, text) => { const item = made("span", undefined, "tv-key"), box = made("i"); box.style.background = `rgb(${rgb})`; item.append(box, text); return item; };
  const stroke = (name, text) => { const item = made("span", undefined, "tv-key"); item.append(made("i", undefined, name), text); return item; };
  if (paint === "movement") {
    const bar = made("i", undefined, "tv-bar");
    bar.style.background = `linear-gradient(90deg, ${SCALE.map((rgb) => `rgb(${rgb})`)})`;
    legend.append("Way of the crown's centre in all: 0 ", bar, ` ${top()} mm. The numbers on the teeth are mm.`);
  } else if (paint === "contacts") {
    const when = isGoal() ? (nearestEnd() ? "after" : "before") : "";
    if (when) legend.append(`Contacts ${when}: `, swatch(OVERLAP, "✕ overlap above 0.1 mm"), swatch(GAP, "↔ gap above 0.3 mm"), "The numbers are mm.");
    else legend.append("Contacts are measured for the goal only. The colours are those before.");
  }
  if (ghost.checked) legend.append(stroke("tv-outline", "outline of before"));
  if (arches.checked) legend.append(stroke("tv-dashed", "arch before"), stroke("tv-solid", "arch after"));
}

function press() {
  for (const button of root.querySelectorAll("[data-jaw]")) button.setAttribute("aria-pressed", button.dataset.jaw === jaw);
  for (const button of root.querySelectorAll("[data-paint]")) button.setAttribute("aria-pressed", button.dataset.paint === paint);
  for (const button of root.querySelectorAll("[data-end]")) button.setAttribute("aria-pressed", button.dataset.end === way.value);
  const current = tracks[track.value], stages = current.staged ? current.count - 1 : 0, share = part();
  const on = stages ? `Stage ${(share * stages).toFixed(share * stages % 1 > 0.05 && share * stages % 1 < 0.95 ? 1 : 0)} of ${stages}` : `${Math.round(100 * share)} % of the way`;
  find(".tv-at").textContent = share === 0 ? "Before" : share === 1 ? `After${stages ? `: stage ${stages} of ${stages}` : ""}` : on;
  way.setAttribute("aria-valuetext", find(".tv-at").textContent);
  play.textContent = playing ? "Pause" : "Play";
  play.setAttribute("aria-pressed", Boolean(playing));
  keys();
}

function refresh() { press(); stage.redraw(); }
function halt() { cancelAnimationFrame(playing); playing = 0; }

function start() {
  if (playing) { halt(); refresh(); return; }
  const stages = tracks[track.value].count - 1, whole = Math.min(PLAY_MS[1], Math.max(PLAY_MS[0], STAGE_MS * stages));
  const began = performance.now() - (part() < 1 ? part() : 0) * whole, calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const tick = (now) => {
    let share = Math.min(1, Math.max(0, (now - began) / whole));
    // Who asked for little motion sees stills one after the other.
    if (calm && share < 1) share = Math.floor(share * 5) / 5;
    way.value = Math.round(share * END);
    playing = share < 1 ? requestAnimationFrame(tick) : 0;
    press();
    stage.stir();
  };
  playing = requestAnimationFrame(tick);
}

function take() {
  const given = props.value;
  if (!given || !given.tracks) return;
  halt();
  value = given;
  scene = paintTeeth.read(value);
  tracks = value.tracks.map((entry) => teethTrack(entry, scene.teeth.length, value.origin));
  track.replaceChildren(...tracks.map((entry, i) => Object.assign(made("option", entry.title), { value: i })));
  find(".tv-pick").hidden = tracks.length < 2;
  chosen = hovered = -1; way.value = END;
  dressed();
  table();
  press();
  stage.show(scene, `${scene.teeth.length} teeth in the proposed arrangement`);
}

way.addEventListener("input", () => { halt(); press(); stage.stir(); });
play.addEventListener("click", start);
track.addEventListener("change", () => { halt(); dressed(); tell(); refresh(); });
for (const button of root.querySelectorAll("[data-end]")) button.addEventListener("click", () => { halt(); way.value = button.dataset.end; refresh(); });
for (const button of root.querySelectorAll("[data-jaw]")) button.addEventListener("click", () => { jaw = button.dataset.jaw; refresh(); });
for (const button of root.querySelectorAll("[data-paint]")) button.addEventListener("click", () => { paint = button.dataset.paint; refresh(); });
for (const box of [ghost, arches, numbers]) box.addEventListener("change", refresh);
watch("value", take);
take();
