// A box for one point cloud that can be turned, after points.js and offer.js, with SAYS: {label, words, types, formats, limit_bytes}.
// Its value is {cloud: for points.js, offered: file, note, error, up}. What is offered goes to the server, which sends the
// points when the file is good, and the old ones with the reason when it is not. up: "z" turns what is shown.
const root = element.querySelector(".skc"), find = (selector) => root.querySelector(selector);
const grid = find(".dv-grid"), file = find(".sk-file"), note = find(".sk-note"), error = find(".sk-error");
const DRAWN = 20_000;
const space = pointClouds(grid, VIEWS.slice(0, 1), document.createElement("div"));

find(".sk-head strong").textContent = SAYS.label;
find(".sk-head span").textContent = SAYS.words;
find(".sk-limits").textContent = `${SAYS.formats}, up to ${Math.round(SAYS.limit_bytes / 1e6)} MB`;
file.accept = SAYS.types;

const current = () => props.value || {};
const fail = (text) => { error.textContent = text || ""; };

// The cloud on its feet, and of very many points some, so that it turns smoothly.
function standing({ xyz, rgb }, up) {
  const count = xyz.length / 3, every = Math.ceil(count / DRAWN), few = Math.ceil(count / every);
  const shown = { xyz: new Int16Array(3 * few), rgb: rgb && new Uint8Array(3 * few) };
  for (let i = 0; i < few; i++) {
    const [x, y, z] = xyz.subarray(3 * i * every, 3 * i * every + 3);
    shown.xyz.set(up === "z" ? [x, z, -y] : [x, y, z], 3 * i);
    if (rgb) shown.rgb.set(rgb.subarray(3 * i * every, 3 * i * every + 3), 3 * i);
  }
  return shown;
}

function take() {
  const { cloud, up, note: words, error: problem } = current();
  root.classList.remove("sk-busy");
  note.textContent = words || "";
  fail(problem);
  grid.hidden = find(".sk-tools").hidden = !cloud;
  find(".sk-drop").hidden = Boolean(cloud);
  if (!cloud) { grid.replaceChildren(...space.show([], [])); return; }
  const whole = space.read(cloud), count = `${whole.xyz.length / 3} points`;
  find(".sk-count").textContent = `${count}, ${cloud.rgb ? "with colours" : "no colours"}`;
  grid.replaceChildren(...space.show([standing(whole, up)], [`${SAYS.label}, ${count}`]));
}

offering(root, "sk", { limit_bytes: SAYS.limit_bytes, smaller: "give a smaller one", fail,
  said: (text) => { note.textContent = text || current().note || ""; },
  put: ([offered]) => { props.value = { ...current(), offered, error: "" }; } });
find(".sk-remove").addEventListener("click", () => { props.value = { up: current().up }; take(); find(".sk-choose").focus(); });
watch("value", take);
take();
