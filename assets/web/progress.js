// The progress line of a laboratory view. A value is {run, phase, text, fraction}.
const root = element.querySelector(".lp"), tab = element.closest(".task-tab");
const fill = root.querySelector(".dv-fill"), status = root.querySelector(".dv-status"), live = root.querySelector(".dv-live");
const SPEAK_MS = 2500, SILENCE_MS = 15000;
let phase = "idle", run = null, blocked = null, spoken = 0, alarm = null;

const busy = () => ["starting", "waiting", "working"].includes(phase);

function enter(next, text, fraction) {
  const changed = next !== phase;
  phase = next;
  root.dataset.phase = next;
  if (tab) tab.dataset.phase = next;
  if (fraction !== undefined && fraction !== null) fill.style.width = `${100 * fraction}%`;
  if (text) {
    status.textContent = text;
    if (changed || Date.now() - spoken > SPEAK_MS) { live.textContent = text; spoken = Date.now(); }
  }
  clearTimeout(alarm);
  if (busy()) alarm = setTimeout(() => enter("failed", "No answer for 15 s. Please check the connection and run again."), SILENCE_MS);
}

watch("value", () => {
  const value = props.value;
  if (!value || !value.run || value.run === blocked) return;
  run = value.run;
  enter(value.phase, value.text, value.fraction);
});

if (tab) {
  tab.addEventListener("diffuscope:run", () => { if (!busy()) enter("starting", "Sending the settings.", 0); });
  tab.addEventListener("diffuscope:stop", () => {
    if (!busy()) return;
    blocked = run;
    enter("stopped", "Stopped. What was found so far is kept.");
  });
  tab.addEventListener("diffuscope:failed", () => {
    if (busy()) enter("failed", "The run could not start. The program may be busy or out of reach; please try again.");
  });
}
