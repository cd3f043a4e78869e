// Charts as SVG with the theme's colours. Joined with forecast.js.
function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const pathOf = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
// Lines with gaps where a value is missing.
function pieces(points) {
  const found = [[]];
  for (const point of points) if (Number.isFinite(point[1])) found.at(-1).push(point); else if (found.at(-1).length) found.push([]);
  return found.filter((piece) => piece.length);
}

// Axes around a plot. x: {low, high, ticks: [[value, text]], title}, y: the same. Gives the drawing, scales and the inner group.
function axes(box, { x, y, height, label }) {
  const wide = Math.max(260, box.clientWidth || 600), left = 10 + 7 * Math.max(...y.ticks.map(([, text]) => text.length)), right = 10, top = 22, bottom = 36;
  const toX = (value) => left + (value - x.low) / (x.high - x.low) * (wide - left - right);
  const toY = (value) => height - bottom - (value - y.low) / (y.high - y.low) * (height - top - bottom);
  const inner = svg("g"), frame = svg("g", { class: "fc-axis" });
  for (const [value, text] of y.ticks) frame.append(svg("line", { x1: left, x2: wide - right, y1: toY(value), y2: toY(value) }), svg("text", { x: left - 6, y: toY(value) + 4, "text-anchor": "end" }, text));
  for (const [value, text] of x.ticks) frame.append(svg("text", { x: toX(value), y: height - bottom + 16, "text-anchor": "middle" }, text));
  frame.append(svg("text", { x: 2, y: 13 }, y.title), svg("text", { x: (left + wide - right) / 2, y: height - 4, "text-anchor": "middle" }, x.title));
  const drawing = svg("svg", { viewBox: `0 0 ${wide} ${height}`, width: wide, height, role: "img", "aria-label": label }, frame, inner);
  return { drawing, inner, toX, toY, wide, high: height, left, right, top, bottom };
}

function days(last, wide, first = 0) {
  const step = [6, 12, 24, 48, 72, 120, 240].find((hours) => (last - first) / hours * 34 <= wide) || 240, whole = step % 24 === 0;
  const from = Math.ceil(first / step), ticks = Array.from({ length: Math.floor(last / step) - from + 1 }, (_, k) => [(from + k) * step, said((from + k) * step / (whole ? 24 : 1), 1)]);
  return { ticks, title: whole ? "days after the start" : "hours after the start" };
}

function valueAxis(low, high, count, title) {
  const step = niceStep(high - low || 1, count), from = Math.floor(low / step + 1e-6) * step, to = Math.ceil(high / step - 1e-6) * step;
  return { low: from, high: Math.max(to, from + step), step, title, ticks: ticksOf(from, Math.max(to, from + step), count).map((value) => [value, said(value, step)]) };
}

// plume: {leads, quantiles: [5 lists], members: lists, climate: {mean, spread} or null, truth, past: {hours, values}, unit, threshold, now}.
function plumeChart(box, plume) {
  const { leads, quantiles, members, climate, truth, past } = plume;
  const seen = [...quantiles[0], ...quantiles[4], ...members.flat(), ...(truth || []), ...past.values,
    ...(climate?.spread ? climate.mean.flatMap((mean, i) => [mean - 1.645 * climate.spread[i], mean + 1.645 * climate.spread[i]]) : climate?.mean || [])].filter(Number.isFinite);
  const y = valueAxis(Math.min(...seen), Math.max(...seen), 5, plume.unit);
  const first = Math.min(0, ...past.hours), last = leads.at(-1), x = { low: first, high: last, ...days(last, (box.clientWidth || 600) - 60, first) };
  const chart = axes(box, { x, y, height: box.clientWidth < 480 ? 230 : 270, label: plume.label }), { inner, toX, toY } = chart;
  const line = (hours, values, name) => pieces(hours.map((hour, i) => [toX(hour), toY(values[i])])).forEach((piece) => inner.append(svg("path", { class: name, d: pathOf(piece) })));
  const band = (hours, low, high, name) => inner.append(svg("path", { class: name, d: `${pathOf(hours.map((hour, i) => [toX(hour), toY(high[i])]))}L${pathOf(hours.map((hour, i) => [toX(hour), toY(low[i])]).reverse()).slice(1)}Z` }));
  // All members leave from the last known state.
  const start = past.values.length && past.hours.at(-1) === 0 ? past.values.at(-1) : null;
  const from = (values) => (start === null ? values : [start, ...values]), hours = start === null ? leads : [0, ...leads];
  if (climate?.spread) band(leads, climate.mean.map((mean, i) => mean - 1.645 * climate.spread[i]), climate.mean.map((mean, i) => mean + 1.645 * climate.spread[i]), "fc-climate-band");
  band(hours, from(quantiles[0]), from(quantiles[4]), "fc-band-wide");
  band(hours, from(quantiles[1]), from(quantiles[3]), "fc-band");
  for (const values of members) line(hours, from(values), "fc-thread");
  if (climate) line(leads, climate.mean, "fc-climate");
  if (plume.threshold !== null && plume.threshold > y.low && plume.threshold < y.high) line([first, last], [plume.threshold, plume.threshold], "fc-limit");
  line(hours, from(quantiles[2]), "fc-median");
  line(past.hours, past.values, "fc-past");
  past.hours.forEach((hour, i) => Number.isFinite(past.values[i]) && inner.append(svg("circle", { class: "fc-past-dot", cx: toX(hour), cy: toY(past.values[i]), r: 3 })));
  if (truth) {
    line(hours, from(truth), "fc-truth");
    leads.forEach((hour, i) => { if (Number.isFinite(truth[i])) inner.append(svg("circle", { class: "fc-truth-dot", cx: toX(hour), cy: toY(truth[i]), r: 3 })); });
  }
  const now = toX(leads[plume.now]);
  inner.append(svg("line", { class: "fc-now", x1: now, x2: now, y1: chart.top, y2: chart.high - chart.bottom }));
  chart.drawing.addEventListener("click", (event) => {
    const place = (event.clientX - chart.drawing.getBoundingClientRect().left) * chart.wide / chart.drawing.getBoundingClientRect().width;
    plume.choose(leads.reduce((best, hour, i) => (Math.abs(toX(hour) - place) < Math.abs(toX(leads[best]) - place) ? i : best), 0));
  });
  box.replaceChildren(chart.drawing);
}

const MARKS = ["circle", "square", "triangle", "diamond", "cross", "circle", "square"];
function mark(kind, x, y, name) {
  const shapes = { circle: `M${x - 3.2} ${y}a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0Z`, square: `M${x - 3} ${y - 3}h6v6h-6Z`, triangle: `M${x} ${y - 4}l4 7h-8Z`, diamond: `M${x} ${y - 4.2}l4.2 4.2l-4.2 4.2l-4.2 -4.2Z`, cross: `M${x - 3} ${y - 3}l6 6M${x + 3} ${y - 3}l-6 6` };
  return svg("path", { class: `${name} fc-mark`, d: shapes[kind] });
}

// Curves over lead time: [{title, values, index}]; the first one is ours. Values that grow stay in the plot from 0.
function curveChart(box, { leads, curves, title, label, height = 240 }) {
  const seen = curves.flatMap((curve) => curve.values).filter(Number.isFinite), last = leads.at(-1);
  if (!seen.length) { box.replaceChildren(); return; }
  const y = valueAxis(Math.min(0, ...seen), Math.max(...seen), 5, title);
  const chart = axes(box, { x: { low: 0, high: last, ...days(last, (box.clientWidth || 400) - 60) }, y, height, label }), { inner, toX, toY } = chart;
  for (const curve of [...curves].reverse()) {
    const points = leads.map((hour, i) => [toX(hour), toY(curve.values[i])]), name = `fc-curve-${curve.index}`;
    for (const piece of pieces(points)) inner.append(svg("path", { class: `${name} fc-line`, d: pathOf(piece) }));
    for (const [px, py] of points) if (Number.isFinite(py)) inner.append(mark(MARKS[curve.index], px, py, name));
  }
  box.replaceChildren(chart.drawing);
}

// A legend: [[class of the line or band, words]].
function keyed(list, entries) {
  list.replaceChildren(...entries.map(([name, words]) => {
    const entry = document.createElement("li"), band = name.startsWith("fc-band") || name === "fc-climate";
    const shape = svg("svg", { width: 26, height: 12, "aria-hidden": "true" });
    if (band) shape.append(svg("rect", { class: name === "fc-climate" ? "fc-climate-band" : name, width: 26, height: 12 }));
    if (!name.startsWith("fc-band")) shape.append(svg("path", { class: name, d: "M1 6H25" }));
    entry.append(shape, words);
    return entry;
  }));
}

function curveKey(list, curves) {
  list.replaceChildren(...curves.map((curve) => {
    const entry = document.createElement("li"), name = `fc-curve-${curve.index}`;
    entry.append(svg("svg", { width: 26, height: 12, "aria-hidden": "true" }, svg("path", { class: `${name} fc-line`, d: "M1 6H25" }), mark(MARKS[curve.index], 13, 6, name)), curve.title);
    return entry;
  }));
}

function rankChart(box, counts, label) {
  const total = counts.reduce((sum, count) => sum + count, 0), bins = counts.length, shares = counts.map((count) => count / total * bins);
  const y = valueAxis(0, Math.max(1.2, ...shares), 4, "times as often as expected");
  const x = { low: 0, high: bins, ticks: [[0.5, "0"], [bins / 2, `${Math.round((bins - 1) / 2)}`], [bins - 0.5, `${bins - 1}`]], title: "members below the truth" };
  const chart = axes(box, { x, y, height: 200, label }), { inner, toX, toY } = chart;
  shares.forEach((share, k) => inner.append(svg("rect", { class: "fc-bin", x: toX(k) + 0.5, width: Math.max(1, toX(k + 1) - toX(k) - 1), y: toY(share), height: Math.max(0, toY(0) - toY(share)) })));
  inner.append(svg("line", { class: "fc-flat", x1: toX(0), x2: toX(bins), y1: toY(1), y2: toY(1) }));
  return chart.drawing;
}
