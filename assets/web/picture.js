// A picture box: choose, drop or paste a picture, and where asked paint a mask over it.
// Its value is {picture: file, mask: data URI, offered: file or files, kind, size: [w, h], note, error, marks}. Every
// offered file goes to the server first and becomes `picture` or `mask` only when it was found good; a bad one leaves all
// as it was. marks: of the picture, set on the tab, so that its style can hide what does not concern this one.
const root = element.querySelector(".pic");
const find = (selector) => root.querySelector(selector);
const image = find(".pic-image"), canvas = find(".pic-mask"), ring = find(".pic-ring"), sheet = find(".pic-sheet");
const file = find(".pic-file"), note = find(".pic-note"), error = find(".pic-error"), brush = find(".pic-size input");
const context = canvas.getContext("2d", { willReadFrequently: true });
const paints = props.paint === true, LARGEST = 2048, UNDO = 20, MOST = 501, COLOUR = "#e0603f";
let tool = "paint", past = [], kind = "picture", start = null, last = null, before = null, url = null, drawn = null;

root.classList.toggle("pic-plain", !paints);
find(".pic-head strong").textContent = props.label;
find(".pic-head span").textContent = props.words;
find(".pic-limits").textContent = `${props.formats}, up to ${Math.round(props.limit_bytes / 1e6)} MB`;
file.accept = props.accept; file.multiple = props.many === true;
if (props.many) find(".pic-choose").textContent = "Choose files";

const current = () => props.value || {};
const send = (change) => { props.value = { ...current(), offered: null, ...change }; };
const fail = (text) => { error.textContent = text || ""; };

async function offer(files, what) {
  const several = [...files].slice(0, props.many && what === "picture" ? MOST : 1);
  if (!several.length) return;
  fail("");
  const largest = Math.max(...several.map((entry) => entry.size)), total = several.reduce((sum, entry) => sum + entry.size, 0);
  const [who, size, limit] = largest > props.limit_bytes ? [several.length > 1 ? "One of the files" : "The file", largest, props.limit_bytes]
    : ["All files together", total, props.total_bytes || Infinity];
  if (size > limit) {
    fail(`${who} ${who.startsWith("All") ? "have" : "has"} ${(size / 1e6).toFixed(1)} MB. The limit is ${Math.round(limit / 1e6)} MB. Please give a smaller picture.`);
    return;
  }
  root.classList.add("pic-busy");
  try {
    const sent = [];
    for (const chosen of several) {
      const { path, url } = await upload(chosen);
      sent.push({ path, url, meta: { _type: "gradio.FileData" } });
      if (several.length > 1) note.textContent = `${sent.length} of ${several.length} files sent`;
    }
    send({ offered: props.many ? sent : sent[0], kind: what });
    trigger("upload");
  } catch {
    root.classList.remove("pic-busy");
    fail("The file could not be sent. Please check the connection and try again.");
  }
}

function choose(what) { kind = what; file.value = ""; file.click(); }

function measure(width, height) {
  const scale = Math.min(1, LARGEST / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
}

function show() {
  const value = current();
  root.classList.remove("pic-busy");
  root.dataset.state = value.picture ? "full" : "empty";
  note.textContent = value.note || "";
  fail(value.error);
  if (value.marks) Object.assign(element.closest(".task-tab")?.dataset || {}, value.marks);
  if (!value.picture) { url = null; drawn = null; return; }
  if (value.picture.url !== url) {
    url = value.picture.url;
    image.src = url;
    image.alt = `The picture, ${value.size[0]} by ${value.size[1]} pixels`;
    sheet.style.setProperty("--shape", `${value.size[0]} / ${value.size[1]}`);
    sheet.style.setProperty("--ratio", value.size[0] / value.size[1]);
    measure(...value.size);
    past = []; drawn = "";
  }
  if (paints && (value.mask || "") !== drawn) restore(value.mask || "");
}

function restore(mask) {
  drawn = mask;
  if (!mask) { context.clearRect(0, 0, canvas.width, canvas.height); return; }
  const layer = new Image();
  layer.onload = () => {
    if (drawn !== mask) return;
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = false;
    context.drawImage(layer, 0, 0, canvas.width, canvas.height);
  };
  layer.src = mask;
}

function keep() {
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let painted = false;
  for (let i = 3; i < pixels.length && !painted; i += 4) painted = pixels[i] > 127;
  past.push(drawn || "");
  if (past.length > UNDO) past.shift();
  drawn = painted ? canvas.toDataURL("image/png") : "";
  fail("");
  send({ mask: drawn, error: "" });
}

const scale = () => canvas.width / canvas.getBoundingClientRect().width;
const width = () => Math.max(2, brush.value / 100 * Math.min(canvas.width, canvas.height));
function place(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * scale(), (event.clientY - box.top) * scale()];
}

function stroke(from, to) {
  context.globalCompositeOperation = tool === "erase" ? "destination-out" : "source-over";
  context.strokeStyle = COLOUR; context.lineWidth = width(); context.lineCap = "round";
  context.beginPath(); context.moveTo(...from); context.lineTo(to[0] + 0.01, to[1]); context.stroke();
  context.globalCompositeOperation = "source-over";
}

function rectangle(x, y, w, h) { context.fillStyle = COLOUR; context.fillRect(Math.round(x), Math.round(y), Math.round(w), Math.round(h)); }

if (paints) {
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    start = last = place(event);
    before = tool === "box" ? context.getImageData(0, 0, canvas.width, canvas.height) : null;
    if (!before) stroke(start, start);
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    const here = place(event), size = width() / scale();
    ring.style.cssText = tool === "box" ? "display:none"
      : `display:block;width:${size}px;height:${size}px;left:${here[0] / scale()}px;top:${here[1] / scale()}px`;
    if (!start) return;
    if (before) { context.putImageData(before, 0, 0); rectangle(start[0], start[1], here[0] - start[0], here[1] - start[1]); }
    else stroke(last, here);
    last = here;
  });
  const finish = () => { if (start) { start = null; keep(); } };
  canvas.addEventListener("pointerup", finish);
  canvas.addEventListener("pointercancel", finish);
  canvas.addEventListener("pointerleave", () => { ring.style.display = "none"; });
  for (const button of root.querySelectorAll("[data-tool]")) button.addEventListener("click", () => {
    tool = button.dataset.tool;
    for (const other of root.querySelectorAll("[data-tool]")) other.setAttribute("aria-pressed", other === button);
  });
  find(".pic-undo").addEventListener("click", () => {
    if (!past.length) return;
    const mask = past.pop();
    restore(mask);
    send({ mask });
  });
  find(".pic-clear").addEventListener("click", () => { context.clearRect(0, 0, canvas.width, canvas.height); keep(); });
  find(".pic-add").addEventListener("click", () => {
    const [x, y, w, h] = ["x", "y", "w", "h"].map((key) => Number(find(`[data-box=${key}]`).value));
    const [across, down] = current().size || [0, 0], zoom = canvas.width / across;
    if (!(w >= 1 && h >= 1 && x >= 0 && y >= 0 && x + w <= across && y + h <= down)) {
      fail(`The box ${x}, ${y}, ${w} x ${h} px is not inside the picture of ${across} x ${down} px. Please change the numbers.`);
      return;
    }
    rectangle(x * zoom, y * zoom, w * zoom, h * zoom);
    keep();
  });
  find(".pic-mask-file").addEventListener("click", () => choose("mask"));
}

find(".pic-choose").addEventListener("click", () => choose("picture"));
find(".pic-replace").addEventListener("click", () => choose("picture"));
file.addEventListener("change", () => offer(file.files, kind));
root.addEventListener("dragover", (event) => { event.preventDefault(); root.classList.add("pic-over"); });
root.addEventListener("dragleave", () => root.classList.remove("pic-over"));
root.addEventListener("drop", (event) => {
  event.preventDefault();
  root.classList.remove("pic-over");
  offer(event.dataTransfer.files, "picture");
});
document.addEventListener("paste", (event) => {
  const chosen = [...(event.clipboardData?.files || [])].find((entry) => entry.type.startsWith("image/"));
  if (chosen && root.offsetParent !== null) offer([chosen], "picture");
});
watch("value", show);
show();
