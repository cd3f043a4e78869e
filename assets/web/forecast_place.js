// One place over lead time: plume, table, and what is saved of it. Joined with forecast.js.
const QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95];

function series(array, ...before) {
  const index = place[0] * data.lon.length + place[1];
  return data.leads.map((_, l) => mapOf(array, ...before, l)[index]);
}

function here() {
  const inUnit = (values, kind) => values.map((value) => toUnit(value, kind));
  const members = Array.from({ length: data.count }, (_, m) => inUnit(series(data.members, m)));
  const sorted = data.leads.map((_, l) => members.map((values) => values[l]).sort((a, b) => a - b));
  const index = place[0] * data.lon.length + place[1];
  return {
    leads: data.leads, members, quantiles: QUANTILES.map((share) => sorted.map((values) => quantile(values, share))),
    climate: data.climate ? { mean: inUnit(series(data.climate)), spread: data.climateSpread && inUnit(series(data.climateSpread), DIFFERENCE) } : null,
    truth: data.truth ? inUnit(series(data.truth)) : null,
    past: data.past ? { hours: data.past_h, values: inUnit(data.past_h.map((_, k) => mapOf(data.past, k)[index])) } : { hours: [], values: [] },
    chance: sorted.map((values) => values.filter((value) => (above ? value > toUnit(threshold) : value < toUnit(threshold))).length / data.count),
  };
}

function placed() {
  const lat = data.lat[place[0]], lon = data.lon[place[1]], found = here(), where = `${latSaid(lat)}, ${lonSaid(lon)}`;
  find(".fc-place h3").textContent = `Place ${where}`;
  latBox.min = data.lat[0]; latBox.max = data.lat.at(-1); lonBox.min = data.lon[0]; lonBox.max = data.lon.at(-1);
  if (document.activeElement !== latBox) latBox.value = Number(lat.toFixed(2));
  if (document.activeElement !== lonBox) lonBox.value = Number(lon.toFixed(2));
  read(lat, lon);
  const threads = find(".fc-threads").checked && data.count > 1 ? found.members : [];
  plumeChart(find(".fc-plume"), { ...found, members: threads, unit: family[unit][SIGN], threshold: layer === "chance" ? toUnit(threshold) : layer === "spaghetti" ? toUnit(level) : null,
    now: now(), label: `Forecast for ${where} over lead time; the table below has the numbers.`, choose: go });
  plumeKey(threads.length > 0);
  table(found);
}

function plumeKey(threads) {
  const entries = [["fc-band-wide", "5 to 95 %"], ["fc-band", "25 to 75 %"], ["fc-median", "median"], ...(threads ? [["fc-thread", "members"]] : []), ...(data.past ? [["fc-past", "known before"]] : []),
    ...(data.climate ? [["fc-climate", data.climateSpread ? "climate, 90 %" : "climate"]] : []), ...(data.truth ? [["fc-truth", "what happened"]] : [])];
  keyed(find(".fc-place .fc-key"), entries);
}

function table(found) {
  const box = find(".fc-numbers table");
  if (!find(".fc-numbers").open) { box.replaceChildren(); return; }
  const head = ["Lead", "Time (UTC)", "5 %", "25 %", "Median", "75 %", "95 %", `${above ? "Above" : "Below"} ${told(threshold)}`, ...(found.truth ? ["Happened"] : [])];
  const row = (cells, tag, current) => {
    const made = document.createElement("tr");
    made.append(...cells.map((text) => { const cell = document.createElement(tag); cell.textContent = text; if (tag === "th") cell.scope = "col"; return cell; }));
    if (current) made.setAttribute("aria-current", "true");
    return made;
  };
  const top = document.createElement("thead"), body = document.createElement("tbody"), caption = document.createElement("caption");
  caption.textContent = `In ${family[unit][SIGN]}, over ${data.count} members`;
  top.append(row(head, "th"));
  body.append(...found.leads.map((hours, l) => row([`+${hours} h`, dateOf(hours).replace(/ \d{4}/, "").replace(" UTC", ""), ...found.quantiles.map((values) => said(values[l], fine())),
    `${Math.round(100 * found.chance[l])} %`, ...(found.truth ? [said(found.truth[l], fine())] : [])], "td", l === now())));
  box.replaceChildren(caption, top, body);
}

function save(content, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function csv() {
  const found = here(), digits = (value) => (Number.isFinite(value) ? String(Number(value.toFixed(4))) : "");
  const side = `${above ? "above" : "below"}_${said(toUnit(threshold), fine()).replace("\u2212", "-")}`;
  const head = ["lead_h", "valid_utc", "lat", "lon", "unit", "mean", "q05", "q25", "q50", "q75", "q95", `probability_${side}`, ...(found.climate ? ["climate"] : []), ...(found.truth ? ["truth"] : []), ...found.members.map((_, m) => `member_${m + 1}`)];
  const rows = found.leads.map((hours, l) => {
    const time = new Date(data.start + hours * 3600000), mean = found.members.reduce((sum, values) => sum + values[l], 0) / data.count;
    return [hours, Number.isNaN(time.getTime()) ? "" : time.toISOString().slice(0, 16), data.lat[place[0]], data.lon[place[1]], unit, digits(mean), ...found.quantiles.map((values) => digits(values[l])), digits(found.chance[l]),
      ...(found.climate ? [digits(found.climate.mean[l])] : []), ...(found.truth ? [digits(found.truth[l])] : []), ...found.members.map((values) => digits(values[l]))];
  });
  save([head, ...rows].map((row) => row.join(",")).join("\r\n") + "\r\n", "text/csv", "forecast-place.csv");
}

// The map with its title and its colour bar as a picture.
function picture() {
  const wide = 1200, high = Math.round(wide / shapeOf(data)), sheet_ = document.createElement("canvas"), entry = LAYERS[layer], map = document.createElement("canvas");
  const theme = getComputedStyle(root), surface = theme.getPropertyValue("--fc-surface").trim(), ink = theme.getPropertyValue("--fc-text").trim();
  paint(map, wide / 1.5, high / 1.5, 1.5, false);
  sheet_.width = wide; sheet_.height = high + (entry.plain ? 64 : 118);
  const pen = sheet_.getContext("2d"), style = { size: 24, ink, halo: surface, align: "left" };
  pen.fillStyle = surface; pen.fillRect(0, 0, sheet_.width, sheet_.height);
  written(pen, `${entry.title}, ${find(".fc-valid").textContent}. Experimental, not a weather warning.`, 16, 32, style);
  pen.drawImage(map, 0, 64);
  if (!entry.plain) {
    pen.drawImage(find(".fc-legend canvas"), 60, high + 76, wide - 120, 14);
    for (const tick of find(".fc-ticks").children) written(pen, tick.textContent, 60 + (wide - 120) * parseFloat(tick.style.left) / 100, high + 104, { ...style, size: 17, align: "center" });
  }
  sheet_.toBlob((blob) => save(blob, "image/png", `forecast-${layer}-${data.leads[now()]}h.png`));
}
