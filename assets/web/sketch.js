// A pad to draw a sketch on, with constants SAYS in front: {label, words, types, formats, limit_bytes}.
// Its value is {ink: PNG as data URI, black on nothing, "" when empty; fresh, offered: file, note, error}. `fresh` comes from the
// server and changes with every sketch that it sends, which is then put on the pad like one more stroke, so it can be undone. After offer.js.
const root = element.querySelector(".sk"), find = (selector) => root.querySelector(selector);
const stage = find(".sk-stage"), canvas = find(".sk-canvas"), pen = canvas.getContext("2d", { willReadFrequently: true });
const ring = find(".sk-ring"), width = find(".sk-width input"), file = find(".sk-file"), note = find(".sk-note"), error = find(".sk-error");
const MARGIN = 28, KEY_STEP = 10, STROKES = 300;
// A stroke is {tool, width, points: [[x, y], ...]}, or a whole sheet {image, box}, or {} for an empty one.
let strokes = [], undone = [], stroke = null, pointer = null, place = null, keyed = false, tool = "pen", fresh = null, sent = "";

find(".sk-head strong").textContent = SAYS.label;
find(".sk-head span").textContent = SAYS.words;
find(".sk-limits").textContent = `${SAYS.formats}, up to ${Math.round(SAYS.limit_bytes / 1e6)} MB.`;
file.accept = SAYS.types;
stage.setAttribute("aria-label", `${SAYS.label}: drawing pad. Arrow keys move the pen, Space puts it down or lifts it, Control Z undoes.`);

const current = () => props.value || {};
const send = (change) => { props.value = { ...current(), offered: null, ...change }; };
const fail = (text) => { error.textContent = text || ""; };

function line(from, to, how) {
  pen.globalCompositeOperation = how.tool === "eraser" ? "destination-out" : "source-over";
  pen.lineWidth = how.width; pen.lineCap = pen.lineJoin = "round"; pen.strokeStyle = "#000";
  pen.beginPath(); pen.moveTo(...from); pen.lineTo(to[0] + 0.01, to[1]); pen.stroke();
  pen.globalCompositeOperation = "source-over";
}

function redraw() {
  pen.clearRect(0, 0, canvas.width, canvas.height);
  for (const one of strokes.slice(Math.max(0, strokes.findLastIndex((found) => !found.points)))) {
    if (one.image) pen.drawImage(one.image, ...one.box);
    one.points?.forEach((point, i) => line(one.points[Math.max(0, i - 1)], point, one));
  }
}

function inked() {
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 3; i < data.length; i += 4) if (data[i] > 60) return true;
  return false;
}

// What is on the pad becomes the value, which travels when a run starts.
function keep() {
  const drawn = inked();
  root.classList.toggle("sk-drawn", drawn);
  find(".sk-undo").disabled = !strokes.length; find(".sk-redo").disabled = !undone.length; find(".sk-clear").disabled = !drawn;
  fail("");
  sent = drawn ? canvas.toDataURL("image/png") : "";
  send({ ink: sent, fresh: "", error: "" });
}

function add(one) {
  strokes.push(one);
  if (strokes.length > STROKES) flatten();
  undone = [];
  redraw(); keep();
}

// The oldest strokes become one sheet, so that a long drawing stays quick; they can no longer be undone.
function flatten() {
  const sheet = document.createElement("canvas"), kept = strokes;
  sheet.width = canvas.width; sheet.height = canvas.height;
  strokes = kept.slice(0, STROKES / 2);
  redraw();
  sheet.getContext("2d").drawImage(canvas, 0, 0);
  strokes = [{ image: sheet, box: [0, 0, canvas.width, canvas.height] }, ...kept.slice(STROKES / 2)];
}

function undo() { if (strokes.length && !stroke) { undone.push(strokes.pop()); redraw(); keep(); } }
function redo() { if (undone.length && !stroke) { strokes.push(undone.pop()); redraw(); keep(); } }

function choose(name) {
  tool = root.dataset.tool = name;
  for (const button of root.querySelectorAll(".sk-modes button")) button.setAttribute("aria-pressed", button.dataset.tool === name);
}

function at(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
}

function begin(point) { stroke = { tool, width: Number(width.value), points: [point] }; line(point, point, stroke); root.classList.add("sk-drawn"); }
function follow(point) { if (stroke) { line(stroke.points.at(-1), point, stroke); stroke.points.push(point); } }
function end() {
  pointer = null; keyed = false;
  if (stroke) { const done = stroke; stroke = null; add(done); }
}

function circle(shown) {
  ring.hidden = !shown || !place;
  if (ring.hidden) return;
  const scale = canvas.clientWidth / canvas.width;
  ring.style.cssText = `width:${width.value * scale}px;height:${width.value * scale}px;left:${100 * place[0] / canvas.width}%;top:${100 * place[1] / canvas.height}%`;
  ring.classList.toggle("sk-down", keyed);
}

stage.addEventListener("pointerdown", (event) => {
  if (event.button || pointer !== null) return;
  end();
  stage.focus({ preventScroll: true });
  try { stage.setPointerCapture(event.pointerId); } catch { /* the pointer has gone */ }
  pointer = event.pointerId;
  begin(at(event));
  event.preventDefault();
});
stage.addEventListener("pointermove", (event) => {
  place = at(event);
  circle(event.pointerType !== "touch");
  if (event.pointerId !== pointer) return;
  const passed = event.getCoalescedEvents?.() || [];
  for (const step of passed.length ? passed : [event]) follow(at(step));
});
for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (event) => { if (event.pointerId === pointer) end(); });
stage.addEventListener("pointerleave", () => circle(keyed));
stage.addEventListener("blur", () => { if (keyed) end(); circle(false); });

function moved([x, y]) {
  place = place || [canvas.width / 2, canvas.height / 2];
  place = [Math.min(Math.max(place[0] + x * KEY_STEP, 0), canvas.width), Math.min(Math.max(place[1] + y * KEY_STEP, 0), canvas.height)];
  if (keyed) follow(place);
  circle(true);
}

function put() {
  if (keyed) end();
  else { moved([0, 0]); keyed = true; begin(place); }
  circle(true);
}

function sized(change) { width.value = Number(width.value) + change; circle(!ring.hidden); }

stage.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const act = { ArrowLeft: () => moved([-1, 0]), ArrowRight: () => moved([1, 0]), ArrowUp: () => moved([0, -1]), ArrowDown: () => moved([0, 1]),
    " ": put, p: () => choose("pen"), e: () => choose("eraser"), "[": () => sized(-2), "]": () => sized(2) }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
root.addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  if (!(event.ctrlKey || event.metaKey) || (key !== "z" && key !== "y")) return;
  event.preventDefault();
  if (key === "y" || event.shiftKey) redo(); else undo();
});

for (const button of root.querySelectorAll(".sk-modes button")) button.addEventListener("click", () => choose(button.dataset.tool));
width.addEventListener("input", () => { place = place || [canvas.width / 2, canvas.height / 2]; circle(true); });
width.addEventListener("blur", () => circle(false));
find(".sk-undo").addEventListener("click", undo);
find(".sk-redo").addEventListener("click", redo);
find(".sk-clear").addEventListener("click", () => { note.textContent = ""; send({ note: "" }); add({}); });

const offer = offering(root, "sk", { limit_bytes: SAYS.limit_bytes, smaller: "give a smaller picture", fail,
  put: ([offered]) => send({ offered }) });
document.addEventListener("paste", (event) => {
  const pasted = [...(event.clipboardData?.files || [])].find((entry) => entry.type.startsWith("image/"));
  if (pasted && stage.offsetParent !== null) offer([pasted]);
});

// A sketch from the server is brought to the middle of the pad; what the pad drew itself returns to its place.
function take() {
  const value = current();
  root.classList.remove("sk-busy");
  note.textContent = value.note || "";
  fail(value.error);
  const mine = !value.fresh || value.fresh === fresh;
  if (value.ink === sent && mine) return;
  fresh = value.fresh || fresh;
  if (!value.ink) { if (sent) add({}); return; }
  const image = new Image();
  image.onload = () => {
    const scale = mine ? 1 : Math.min((canvas.width - 2 * MARGIN) / image.width, (canvas.height - 2 * MARGIN) / image.height);
    const size = [image.width * scale, image.height * scale];
    add({ image, box: [(canvas.width - size[0]) / 2, (canvas.height - size[1]) / 2, ...size] });
  };
  image.src = value.ink;
}
watch("value", take);
take();
