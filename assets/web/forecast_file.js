// A box for a file of weather maps, and the date to start from. Its value is {field: file, offered: file, error, note,
// about: [[name, text]], runs: [[first, count, step in h]], start: ISO text or ""}. runs: the times that can be started from.
// An offered file goes to the server and becomes `field` only when it was found good. After offer.js.
const root = element.querySelector(".ff"), find = (selector) => root.querySelector(selector);
const date = find(".ff-date"), hour = find(".ff-hour"), error = find(".pic-error"), HOUR_MS = 3600000;
let starts = [], last = 0;

find(".pic-head strong").textContent = props.label;
find(".pic-head span").textContent = props.words;
find(".pic-limits").textContent = `${props.formats}, up to ${Math.round(props.limit_bytes / 1e6)} MB`;

const current = () => props.value || {};
const fail = (text) => { error.textContent = text || ""; };
const iso = (time) => new Date(time).toISOString().slice(0, 16);
const timeOf = (text) => Date.parse(/[Zz]$/.test(text) ? text : `${text.length === 10 ? `${text}T00:00` : text}Z`);

offering(root, "pic", { limit_bytes: props.limit_bytes, smaller: "cut out a shorter time or a smaller region", fail,
  said: (text) => { find(".pic-note").textContent = text; }, put: ([offered]) => { props.value = { ...current(), offered }; } });

function show() {
  const value = current(), there = Boolean(value.field);
  root.classList.remove("pic-busy");
  root.dataset.state = there ? "full" : "empty";
  find(".pic-note").textContent = value.note || "";
  fail(value.error);
  for (const [name, seen] of [[".ff-about", there], [".ff-start", there], [".pic-tools", there], [".ff-none", !there]]) find(name).hidden = !seen;
  if (!there) { starts = []; return; }
  find(".ff-about").replaceChildren(...value.about.flatMap(([name, text]) => {
    const term = document.createElement("dt"), words = document.createElement("dd");
    term.textContent = name; words.textContent = text;
    return [term, words];
  }));
  starts = value.runs.flatMap(([first, count, step]) => Array.from({ length: count }, (_, k) => timeOf(first) + k * step * HOUR_MS));
  last = timeOf(value.last);
  pick(value.start ? timeOf(value.start) : starts.at(-1), false);
}

// Shows a start, tells the server-side setting when a person chose it.
function pick(time, chosen) {
  if (!starts.length) { find(".ff-after").textContent = "No map has one before it, so that nothing can be started from."; return; }
  const nearest = starts.reduce((best, start) => (Math.abs(start - time) < Math.abs(best - time) ? start : best), starts[0]);
  date.min = iso(starts[0]).slice(0, 10); date.max = iso(starts.at(-1)).slice(0, 10);
  date.value = iso(nearest).slice(0, 10);
  const same = starts.filter((start) => iso(start).slice(0, 10) === date.value);
  hour.replaceChildren(...same.map((start) => {
    const option = document.createElement("option");
    option.value = iso(start); option.textContent = iso(start).slice(11); option.selected = start === nearest;
    return option;
  }));
  hour.disabled = same.length < 2;
  const hours = Math.max(0, Math.round((last - nearest) / HOUR_MS));
  const follows = hours ? `The file goes on for ${hours >= 48 ? `${Math.floor(hours / 24)} days` : `${hours} h`}, so that the forecast can be judged.` : "Nothing follows in the file, so that there is nothing to judge the forecast by.";
  find(".ff-after").textContent = (nearest === time ? "" : `The nearest start in the file is taken. `) + follows;
  if (!chosen && (current().start || "") === (current().start ? iso(nearest) : "")) return;
  const start = nearest === starts.at(-1) ? "" : iso(nearest);
  if (start === (current().start || "")) return;
  props.value = { ...current(), start };
  trigger("select");
}

find(".ff-remove").addEventListener("click", () => {
  props.value = { ...current(), field: null, offered: null, about: [], runs: [], start: "", note: "", error: "" };
  show();
  trigger("select");
  find(".pic-choose").focus();
});
find(".ff-last").addEventListener("click", () => pick(starts.at(-1), true));
date.addEventListener("change", () => { if (date.value) pick(timeOf(`${date.value}T${(hour.value || "T00:00").slice(-5)}`), true); });
hour.addEventListener("change", () => pick(timeOf(hour.value), true));
// The setting came from elsewhere, such as loaded settings.
root.addEventListener("ff:start", ({ detail }) => {
  if (!starts.length || (detail || "") === (current().start || "")) return;
  props.value = { ...current(), start: detail || "" };
  show();
});
watch("value", show);
show();
