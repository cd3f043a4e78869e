// The slider over the steps of a spectrum. A value is {run, chart, traces, at, steps: [{words, picture, y: [[...], ...]}]}: y are the
// curves of the traces with these numbers in the chart with this id, which first shows those of step `at`. Moving asks nothing of the server.
const root = element.querySelector(".sp");
const find = (selector) => root.querySelector(selector);
const slider = find("input"), picture = find(".sp-picture"), words = find(".sp-words");
let value = null;

function show() {
  const step = value.steps[Number(slider.value)];
  picture.src = step.picture;
  picture.alt = `Estimates. ${step.words}`;
  words.textContent = step.words;
  slider.setAttribute("aria-valuetext", step.words);
  return step;
}

slider.addEventListener("input", () => {
  const step = show(), chart = document.querySelector(`#${value.chart} .js-plotly-plot`);
  if (chart && window.Plotly) window.Plotly.restyle(chart, { y: step.y }, value.traces);
});
watch("value", () => {
  if (!props.value || !props.value.run || (value && value.run === props.value.run)) return;
  value = props.value;
  find(".sp-empty").hidden = true;
  find(".sp-body").hidden = false;
  slider.max = value.steps.length - 1;
  slider.value = value.at;
  show();
});
// A view that is seen for the first time fills itself. (The event "load" would come with the page, before its tab is open.)
if (!props.value || !props.value.run) new IntersectionObserver((entries, observer) => {
  if (!entries.some((entry) => entry.isIntersecting)) return;
  observer.disconnect();
  if (!value) trigger("expand");
}).observe(root);
