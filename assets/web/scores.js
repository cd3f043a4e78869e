// A table of figures that can be sorted. A value is {run, columns: [{title, about, falling}], rows: [{name, told, values:
// [{text, number, best}]}], notes: [text]}; told stands instead of values that are not there. falling: the first press on
// a title puts the largest on top. A third press brings the first order back.
const root = element.querySelector(".sc"), head = root.querySelector("thead"), body = root.querySelector("tbody");
let run = null, sorted = { column: -1, falling: false };

const made = (tag, text, name) => {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (name) node.className = name;
  return node;
};

function press(column, falling) {
  if (sorted.column !== column) sorted = { column, falling };
  else sorted = sorted.falling === falling ? { column, falling: !falling } : { column: -1, falling: false };
  draw();
}

function titles(columns) {
  const line = made("tr"), corner = made("th", "Method");
  corner.scope = "col";
  line.append(corner, ...columns.map((column, c) => {
    const cell = made("th"), button = made("button", column.title, "sc-sort");
    cell.scope = "col"; button.type = "button"; button.title = column.about || "";
    if (sorted.column === c) cell.setAttribute("aria-sort", sorted.falling ? "descending" : "ascending");
    button.addEventListener("click", () => {
      press(c, Boolean(column.falling));
      head.querySelectorAll("button")[c].focus();
    });
    cell.append(button);
    return cell;
  }));
  head.replaceChildren(line);
}

function ordered(rows) {
  if (sorted.column < 0) return rows;
  const number = (row) => row.values[sorted.column]?.number ?? null;
  return [...rows].sort((a, b) => {
    const [left, right] = [number(a), number(b)];
    if (left === null || right === null) return (left === null) - (right === null);
    return sorted.falling ? right - left : left - right;
  });
}

function draw() {
  const { columns, rows } = props.value;
  titles(columns);
  body.replaceChildren(...ordered(rows).map((row) => {
    const line = made("tr"), name = made("th", row.name);
    name.scope = "row";
    line.append(name);
    if (row.values.length) line.append(...row.values.map((value) => {
      const cell = made("td", value.text, value.best ? "sc-best" : "");
      if (value.best) cell.title = "the best of all";
      return cell;
    }));
    else {
      const cell = made("td", row.told, "sc-none");
      cell.colSpan = columns.length;
      line.append(cell);
    }
    return line;
  }));
}

watch("value", () => {
  const value = props.value;
  root.hidden = !(value && value.run);
  if (root.hidden) return;
  if (value.run !== run) { run = value.run; sorted = { column: -1, falling: false }; }
  draw();
  root.querySelector(".sc-notes").replaceChildren(...(value.notes || []).map((line) => made("p", line)));
});
