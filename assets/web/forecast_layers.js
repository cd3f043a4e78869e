// What the map can show: its layers with their words, colours and ranges. Joined with forecast.js.
// From the smallest to the largest value but the outermost 0.2 % on both sides, by a sample.
function spanOf(values) {
  const stride = Math.max(1, Math.floor(values.length / 20000)), sample = [];
  for (let i = 0; i < values.length; i += stride) if (Number.isFinite(values[i])) sample.push(values[i]);
  sample.sort((a, b) => a - b);
  return [quantile(sample, 0.002), quantile(sample, 0.998)];
}
const neat = (value) => { const step = niceStep(toUnit(data.band[1], DIFFERENCE) - toUnit(data.band[0], DIFFERENCE), 40); return Math.round(value / step) * step; };
const minus = (a, b) => ({ shape: a.shape, values: a.values.map((value, i) => value - b.values[i]) });
const differences = { get anomaly() { return data.anomaly ||= minus(data.mean, data.climate); }, get error() { return data.error ||= minus(data.mean, data.truth); } };

// Ranges hold for all lead times, so that colours can be compared, and are worked out once for each unit.
const ranges = new Map();
function rangeOf(name) {
  const key = `${name} ${unit}`;
  if (!ranges.has(key)) ranges.set(key, LAYERS[name].range());
  return ranges.get(key);
}
const absolute = () => niceRange(toUnit(data.band[0]), toUnit(data.band[1])).map(fromUnit);
const both = (array) => { const [low, high] = spanOf(array.values), top = niceRange(0, toUnit(Math.max(-low, high), DIFFERENCE))[1] / family[unit][FACTOR]; return [-top, top]; };
const fromZero = (array) => [0, niceRange(0, toUnit(spanOf(array.values)[1], DIFFERENCE))[1] / family[unit][FACTOR]];
const knownNow = () => Number.isFinite(mapOf(data.truth, now())[0]);
const LAYERS = {
  mean: { title: "Mean", there: () => true, kind: ABSOLUTE, scale: "values", map: (l) => mapOf(data.mean, l), range: absolute,
    words: () => (data.count > 1 ? `Mean of the ${data.count} members. It is smoother than weather ever is.` : "The only member. Several would show how sure the forecast is.") },
  member: { title: "Member", there: () => data.count > 1, kind: ABSOLUTE, scale: "values", map: (l) => mapOf(data.members, memberSlider.value - 1, l), range: absolute,
    words: () => "One of the ways in which the weather may go, as plausible as the others." },
  spread: { title: "Spread", there: () => data.count > 1, kind: DIFFERENCE, scale: "spread", map: (l) => mapOf(data.spread, l), range: () => fromZero(data.spread),
    words: () => "Standard deviation over the members: where the forecast is unsure." },
  anomaly: { title: "Anomaly", there: () => data.climate, kind: DIFFERENCE, scale: "difference", map: (l) => mapOf(differences.anomaly, l), range: () => both(differences.anomaly),
    words: () => "Mean of the members less what is usual on that day of the year." },
  chance: { title: "Probability", there: () => data.count > 1, kind: "share", scale: "chance", map: (l) => chances(data.members, l, threshold, above), range: () => [0, 1],
    words: () => `Share of the ${data.count} members ${above ? "above" : "below"} ${told(threshold)}.` },
  spaghetti: { title: "Spaghetti", there: () => data.count > 1, kind: ABSOLUTE, plain: true, map: (l) => mapOf(data.mean, l), range: absolute,
    lines: () => [["fc-thread", "members"], ["fc-strong", "mean"], ...(data.climate ? [["fc-dashed", "climate"]] : []), ...(data.truth ? [["fc-ink", "what happened"]] : [])],
    words: () => `The ${told(level)} line of every member. Where they part, the forecast is unsure.` },
  storms: { title: "Cyclones", there: () => data.storms, kind: ABSOLUTE, plain: true, map: (l) => mapOf(data.mean, l), range: absolute,
    lines: () => [["fc-thread", "members"], ["fc-strong", "shared by members, with spread"], ["fc-faint", "isobars of the mean"]],
    words: () => "Lows of every member. Thick: a low that many share, and its spread (one standard deviation)." },
  truth: { title: "What happened", there: () => data.truth, kind: ABSOLUTE, scale: "values", map: (l) => mapOf(data.truth, l), range: absolute,
    words: () => (knownNow() ? "The field of the file at this time, which the forecast did not see." : "The file does not go on until this time.") },
  error: { title: "Error", there: () => data.truth, kind: DIFFERENCE, scale: "difference", map: (l) => mapOf(differences.error, l), range: () => both(differences.error),
    words: () => (knownNow() ? "Mean of the members less what happened." : "The file does not go on until this time.") },
  predictability: { title: "Predictability", there: () => data.predictability, kind: "number", scale: "chance", map: () => data.predictability.values, range: () => [0, 1],
    words: () => "How much of the climate's usual range the forecast rules out, over all times: 1 is all of it, 0 none." },
  precision: { title: "Precision", there: () => data.precision, kind: "number", scale: "chance", map: (l) => mapOf(data.precision, l), range: () => [0, 1],
    words: () => "How early the diffusion settled: 1 is the surest place of the map, 0 the least." },
};
