// What a tooth arrangement starts from: choose or drop files, turn the teeth that were found, keep some where they are.
// The value is {picture: file with what paintTeeth reads, teeth: [FDI], found, notes, fixed: text, offered: [files], error}.
// Offered files go to the server first and become the teeth only when they were found good. After offer.js.
const root = element.querySelector(".tb");
const find = (selector) => root.querySelector(selector);
const error = find(".tb-error"), notes = find(".tb-note");
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

offering(root, "tb", { limit_bytes: LIMIT_BYTES, smaller: "give smaller meshes", most: MOST,
  fail: (text) => { error.textContent = text; }, put: (offered) => send({ offered }) });

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

watch("value", show);
show();
