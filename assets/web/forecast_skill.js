// How good the forecast was, where the file knows what happened. Joined with forecast.js.
function skill() {
  find(".fc-skill").hidden = !data.skill && !data.rank;
  if (!data.skill) return;
  const names = Object.keys(data.skill.scores).filter((name) => SCORES[name.toLowerCase()]);
  if (!names.includes(curve)) curve = names[0];
  find(".fc-scores").replaceChildren(...names.map((name) => {
    const button = document.createElement("button");
    button.type = "button"; button.dataset.score = name; button.textContent = SCORES[name.toLowerCase()][0];
    button.setAttribute("aria-pressed", name === curve);
    button.addEventListener("click", () => { curve = name; skill(); find(`.fc-scores [data-score="${name}"]`).focus(); });
    return button;
  }));
  charts();
}

const SCORES = { crps: ["CRPS", "Continuous ranked probability score: how far the whole ensemble lies from what happened. Lower is better."],
  rmse: ["RMSE", "Root mean squared error of the ensemble's mean. Lower is better."] };

function charts() {
  if (find(".fc-skill").hidden || !find(".fc-curve").clientWidth) return;
  const { leads, scores } = data.skill || { leads: [], scores: {} };
  const inUnit = (values) => values.map((value) => (value === null ? NaN : toUnit(value * 1, DIFFERENCE) / family[data.unit][FACTOR]));
  if (curve) {
    const methods = Object.entries(scores[curve]), curves = methods.map(([title, values], index) => ({ title, values: inUnit(values), index })).filter(({ values }) => values.some(Number.isFinite));
    const sign = family[unit][SIGN], title = `${SCORES[curve.toLowerCase()][0]}${sign && ` (${sign})`}`;
    find(".fc-score-words").textContent = SCORES[curve.toLowerCase()][1];
    curveChart(find(".fc-curve"), { leads, curves, title, label: `${title} of ${curves.map((entry) => entry.title).join(", ")} over lead time` });
    curveKey(find(".fc-skill .fc-key"), curves);
  }
  const spread = scores.spread && Object.values(scores.spread)[0], error = scores.rmse && Object.values(scores.rmse)[0];
  figure(find(".fc-spread"), spread && error, "Spread and error", "They should be alike: a smaller spread is too sure of itself.", (box) => {
    const curves = [{ title: "spread", values: inUnit(spread), index: 0 }, { title: "error of the mean", values: inUnit(error), index: 1 }];
    curveChart(box, { leads, curves, title: family[unit][SIGN], label: "Spread of the members and error of their mean over lead time", height: 200 });
    const key = document.createElement("ul");
    key.className = "fc-key";
    curveKey(key, curves);
    return key;
  });
  figure(find(".fc-rank"), data.rank && data.rank.length > 2, "Rank histogram", "Flat at 1 is honest. High ends: too sure; a hill: too unsure.", (box) => {
    box.replaceChildren(rankChart(box, data.rank, "How often each number of members lies below the truth, against an even share"));
  });
}

function figure(box, there, title, words, fill) {
  box.hidden = !there;
  if (!there) return;
  const heading = document.createElement("figcaption"), strong = document.createElement("strong"), plot = document.createElement("div");
  strong.textContent = title;
  heading.append(strong, ` ${words}`);
  box.replaceChildren(heading, plot);
  const more = fill(plot);
  if (more) box.append(more);
}
