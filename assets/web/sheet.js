// The table of a comparison. A value is {run, layout: {blocks, rows, columns}, legend, cells: [...]}: the newest cells, at
// the end all of them, because a busy page sees only the last of several values. Cells are kept here. Two chosen cells
// are laid over each other. The columns are the same in every row, or a list for each row. A cell may bring its own
// head, and a wide one takes the place of its whole row. Cells of different rows are best sent by name: what changes in a
// list arrives piece by piece.
const root = element.querySelector(".ls");
const find = (selector) => root.querySelector(selector);
const blocks = find(".ls-blocks"), pair = find(".ls-pair"), slide = find(".ls-slide input");
let run = null, cells = new Map(), chosen = [];

const made = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};
const key = (index) => index.join("/");

function lay(layout) {
  cells = new Map(); chosen = []; pair.hidden = true;
  find(".ls-empty").hidden = true;
  blocks.replaceChildren(...layout.blocks.map((block, b) => {
    const section = made("section", "ls-block");
    if (block) section.append(made("h3", "", block));
    const scroll = made("div", "ls-scroll"), grid = made("div", "ls-grid");
    const columns = layout.rows.map((_, r) => Array.isArray(layout.columns[0]) ? layout.columns[r] : layout.columns);
    grid.style.setProperty("--columns", Math.max(...columns.map((row) => row.length)));
    layout.rows.forEach((row, r) => {
      if (row) grid.append(made("h4", "ls-row", row));
      columns[r].forEach((column, c) => {
        const cell = made("button", "ls-cell");
        cell.type = "button"; cell.disabled = true;
        cell.append(made("span", "ls-head", column), made("span", "ls-picture"), made("span", "ls-words"));
        cell.addEventListener("click", () => choose(key([b, r, c])));
        cells.set(key([b, r, c]), { node: cell });
        if (!c && columns[r] !== layout.columns) cell.classList.add("ls-first");
        grid.append(cell);
      });
    });
    scroll.append(grid); section.append(scroll);
    return section;
  }));
}

function fill(found) {
  const entry = cells.get(key(found.index));
  if (!entry || entry.words) return;
  Object.assign(entry, found);
  const frame = entry.node.querySelector(".ls-picture"), words = entry.node.querySelector(".ls-words");
  if (found.head) entry.node.querySelector(".ls-head").textContent = found.head;
  if (found.wide) widen(found.index, entry.node);
  if (found.reason) {
    entry.node.classList.add("ls-failed");
    frame.replaceChildren(made("span", "ls-reason", found.reason));
  } else if (found.picture) {
    const image = made("img");
    image.src = found.picture; image.alt = found.name; image.draggable = false;
    frame.replaceChildren(image);
    entry.node.disabled = false;
    entry.node.setAttribute("aria-pressed", "false");
  }
  words.replaceChildren(...found.words.map((line) => made("span", "", line)));
  entry.node.title = found.name;
}

function widen(index, node) {
  node.classList.add("ls-wide");
  for (let c = index[2] + 1; cells.has(key([index[0], index[1], c])); c++) cells.get(key([index[0], index[1], c])).node.hidden = true;
}

function choose(name) {
  chosen = chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen.slice(-1), name];
  for (const [other, entry] of cells) if (entry.picture) entry.node.setAttribute("aria-pressed", chosen.includes(other));
  pair.hidden = !chosen.length;
  if (!chosen.length) return;
  const [left, right] = [cells.get(chosen[0]), cells.get(chosen[1] || chosen[0])];
  find(".ls-left").src = left.picture; find(".ls-right").src = right.picture;
  find(".ls-left").alt = left.name; find(".ls-right").alt = right.name;
  find(".ls-pair-text").textContent = chosen[1] ? `Left: ${left.name}. Right: ${right.name}.`
    : `${left.name}. Choose a second cell to lay it over this one.`;
  find(".ls-slide").hidden = !chosen[1];
  move();
}

function move() { find(".ls-stage").style.setProperty("--cut", chosen[1] ? `${slide.value}%` : "100%"); }

slide.addEventListener("input", move);
watch("value", () => {
  const value = props.value;
  if (!value || !value.run) return;
  if (value.run !== run) {
    run = value.run;
    lay(value.layout);
    find(".ls-legend").replaceChildren(...(value.legend || []).map((line) => made("p", "", line)));
  }
  Object.values(value.cells || []).forEach(fill);
});
// A view that is seen for the first time fills itself. (The event "load" would come with the page, before its tab is open.)
if (!props.value || !props.value.run) new IntersectionObserver((entries, observer) => {
  if (!entries.some((entry) => entry.isIntersecting)) return;
  observer.disconnect();
  if (!run) trigger("expand");
}).observe(root);
