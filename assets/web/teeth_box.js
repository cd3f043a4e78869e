// What a tooth arrangement starts from: choose or drop files, turn the teeth that were found, keep some where they are.
// The value is {picture: file with what paintTeeth reads, teeth: [FDI], found, notes, fixed: text, offered: [files], error}.
// Offered files go to the server first and become the teeth only when they were found good.
const root = element.querySelector(".tb");
const find = (selector) => root.querySelector(selector);
const file = find(".tb-file"), error = find(".tb-error"), notes = find(".tb-note");
const MOST = 70;
let url = null, scene = null;

find(".tb-head strong").textContent = LABEL;
find(".tb-head span").textContent = WORDS;
find(".tb-limits").textContent = `STL, PLY, OBJ, labels as JSON, a table as CSV, or a zip of them, up to ${Math.round(LIMIT_BYTES / 1e6)} MB`;
const current = () => props.value || {};
const send = (change) => { props.value = { ...current(), offered: null, ...change }; };
const fixed = () => fdiList.read(current().fixed);

const chart = fdiChart(find(".tb-rows"), (fdi) => {
  const kept = fixed(), now = kept.includes(fdi) ? kept.filter((other) => other !== fdi) : [...kept, fdi];
  send({ fixed: fdiList.write(now) });
  show();
  trigger("select");
});
const LOOK = { shine: 42, chosen: -1, ghost: null, paint: (tooth) => tooth.kept || tooth.ivory };
let jaw = "both";
const stage = teethStage(find(".tv-host"), VIEWS, find(".dv-views"), {
  draw: () => ({ ...LOOK, poses: scene.poses, shown: (tooth) => jaw === "both" || (jaw === "upper") === tooth.upper }),
  viewed: (view) => { jaw = view[3] > 0 ? "lower" : view[4] < 1 ? "upper" : "both"; } });

async function offer(files) {
  const several = [...files].slice(0, MOST), total = several.reduce((sum, entry) => sum + entry.size, 0);
  if (!several.length) return;
  error.textContent = "";
  if (total > LIMIT_BYTES) {
    error.textContent = `The files have ${(total / 1e6).toFixed(1)} MB. The limit is ${Math.round(LIMIT_BYTES / 1e6)} MB. Please give smaller meshes.`;
    return;
  }
  root.classList.add("tb-busy");
  try {
    const sent = [];
    for (const chosen of several) { const { path, url: at } = await upload(chosen); sent.push({ path, url: at, meta: { _type: "gradio.FileData" } }); }
    send({ offered: sent });
    trigger("upload");
  } catch {
    root.classList.remove("tb-busy");
    error.textContent = "The files could not be sent. Please check the connection and try again.";
  }
}

async function picture(from) {
  url = from;
  try {
    const answer = await fetch(from), found = paintTeeth.read(await answer.json());
    if (url !== from) return;
    scene = found;
    tint();
    stage.show(scene, `${scene.teeth.length} teeth as they are now`);
  } catch { error.textContent = "The picture of the teeth could not be fetched. Please reload the page."; }
}

// Teeth that stay are bluish, as in the chart below.
function tint() {
  const kept = fixed();
  for (const tooth of scene ? scene.teeth : []) {
    const [r, g, b] = [0.62, 0.86, 0.96];
    tooth.kept = kept.includes(tooth.fdi) ? tooth.ivory.map((value, i) => value * [r, g, b][i % 3]) : null;
  }
  stage.redraw();
}

function show() {
  const value = current(), teeth = value.teeth || [], kept = fixed().filter((fdi) => teeth.includes(fdi));
  root.classList.remove("tb-busy");
  root.dataset.state = value.picture ? "full" : "empty";
  error.textContent = value.error || "";
  find(".tb-found").textContent = value.found || "";
  find(".tb-chart").hidden = !value.picture;
  find(".tb-kept").textContent = kept.length ? `Kept where they are: ${kept.join(", ")}.` : "Press a tooth to keep it where it is.";
  notes.replaceChildren(...(value.notes || []).map((line) => Object.assign(document.createElement("li"), { textContent: line })));
  chart.show(teeth, kept);
  tint();
  if (value.picture && value.picture.url && value.picture.url !== url) picture(value.picture.url);
}

for (const button of [find(".tb-choose"), find(".tb-replace")]) button.addEventListener("click", () => { file.value = ""; file.click(); });
file.addEventListener("change", () => offer(file.files));
root.addEventListener("dragover", (event) => { event.preventDefault(); root.classList.add("tb-over"); });
root.addEventListener("dragleave", () => root.classList.remove("tb-over"));
root.addEventListener("drop", (event) => { event.preventDefault(); root.classList.remove("tb-over"); offer(event.dataTransfer.files); });
watch("value", show);
show();
