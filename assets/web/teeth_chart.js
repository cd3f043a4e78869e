// A chart of FDI numbers, both jaws from the patient's right to the left, as seen from the front. Each tooth that is there
// can be marked. fdiChart(place, toggled) gives { show(numbers that are there, marked numbers) }; toggled(fdi) was pressed.
const fdiRows = [[18, 11, 21, 28], [48, 41, 31, 38]].map((ends) => [0, 2].flatMap((k) => {
  const [from, to] = ends.slice(k, k + 2);
  return Array.from({ length: 8 }, (_, i) => from + Math.sign(to - from) * i);
}));

// The numbers in a text such as "16,26" or "13-23", and the shortest such text for some numbers.
const fdiList = {
  read: (text) => {
    const found = new Set();
    for (const word of String(text || "").split(/[\s,;:.+]+/)) {
      const [, first, last] = word.match(/^(\d+)(?:-(\d+))?$/) || [], row = fdiRows.find((numbers) => numbers.includes(Number(first)));
      if (!row) continue;
      const ends = [first, last || first].map((number) => row.indexOf(Number(number))).sort((a, b) => a - b);
      if (ends[0] >= 0) row.slice(ends[0], ends[1] + 1).forEach((number) => found.add(number));
    }
    return fdiRows.flat().filter((number) => found.has(number));
  },
  write: (numbers) => fdiRows.flatMap((row) => {
    const runs = [];
    row.forEach((number, i) => {
      if (!numbers.includes(number)) return;
      if (i && numbers.includes(row[i - 1])) runs.at(-1)[1] = number; else runs.push([number, number]);
    });
    return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  }).join(","),
};

function fdiChart(place, toggled) {
  const rows = fdiRows, cells = new Map();
  const enabled = (fdi) => cells.get(fdi).dataset.state === "present";

  for (const numbers of rows) {
    const row = document.createElement("div");
    row.className = "tb-row";
    for (const fdi of numbers) {
      const button = document.createElement("button");
      button.type = "button"; button.textContent = fdi; button.tabIndex = -1;
      button.addEventListener("click", () => { if (enabled(fdi)) { reach(fdi, false); toggled(fdi); } });
      button.addEventListener("keydown", (event) => move(event, fdi));
      cells.set(fdi, button);
      row.append(button);
    }
    place.append(row);
  }

  // One tooth is in the tab order, the arrow keys go to the next one that is there.
  function reach(fdi, focus = true) {
    for (const [number, button] of cells) button.tabIndex = number === fdi ? 0 : -1;
    if (focus) cells.get(fdi).focus();
  }
  function move(event, fdi) {
    const line = rows.findIndex((numbers) => numbers.includes(fdi)), at = rows[line].indexOf(fdi);
    const next = (way) => rows[line].filter((number, i) => (way > 0 ? i > at : i < at) && enabled(number)).at(way > 0 ? 0 : -1);
    const across = (other) => rows[other].filter(enabled).sort((a, b) => Math.abs(rows[other].indexOf(a) - at) - Math.abs(rows[other].indexOf(b) - at))[0];
    const to = { ArrowRight: () => next(1), ArrowLeft: () => next(-1), ArrowUp: () => across(0), ArrowDown: () => across(1),
      Home: () => rows[line].find(enabled), End: () => rows[line].filter(enabled).at(-1) }[event.key];
    if (!to || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const goal = to();
    if (goal) reach(goal);
  }

  function show(present, marked) {
    for (const [fdi, button] of cells) {
      const there = present.includes(fdi), kept = there && marked.includes(fdi);
      button.dataset.state = there ? "present" : "absent";
      button.setAttribute("aria-disabled", !there);
      button.setAttribute("aria-pressed", kept);
      button.setAttribute("aria-label", `Tooth ${fdi}${there ? (kept ? ", kept where it is" : "") : ", absent"}`);
      button.title = there ? (kept ? "Kept where it is" : "Keep it where it is") : "Absent";
    }
    if (![...cells].some(([fdi, button]) => button.tabIndex === 0 && enabled(fdi)) && present.length) reach(rows.flat().find((fdi) => present.includes(fdi)), false);
  }
  return { show };
}
