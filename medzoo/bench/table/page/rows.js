// The table: which rows and columns are shown, in which order and groups; and the small plots in its cells.
const table = byId("table"), heads = [...table.tHead.rows[0].cells];
const lines = [...table.tBodies[0].rows];  // the static rows, in the order of ROWS
lines.forEach((line, i) => { line.dataset.row = i; });
const WORDS = {"▲": ["better", "better than the control"], "▼": ["worse", "worse than the control"],
  "≈": ["same", "equivalent to the control"], "~": ["noise", "permuted labels or random weights reach this value"]};

function facetOf(row, name) { return row.facets[FACETS.findIndex(facet => facet.name === name)]; }

function isShown(row) {
  const find = state.find.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const text = [row.label, row.name, ...row.facets].join(" ").toLowerCase();
  return find.every(word => text.includes(word))
    && Object.entries(state.only).every(([name, values]) => values.includes(facetOf(row, name)));
}

// Positions of the shown rows, sorted; a missing value is last in both orders.
function shownRows() {
  const shown = ROWS.map((_, i) => i).filter(i => isShown(ROWS[i]));
  if (!state.sort) return shown;
  const sign = state.down ? -1 : 1, column = columnAt.get(state.sort);
  if (state.sort === "name") {
    return shown.sort((a, b) => sign * ROWS[a].label.localeCompare(ROWS[b].label, "en", {numeric: true}) || a - b);
  }
  const value = i => ROWS[i].cells[column]?.m ?? null;
  return shown.sort((a, b) => {
    const x = value(a), y = value(b);
    if (x === null || y === null) return (x === null) - (y === null) || a - b;
    return sign * (x - y) || a - b;
  });
}

const shownColumns = () => COLUMNS.map((_, i) => i).filter(i => !state.hide.includes(COLUMNS[i].id));

function groupsOf(places) {
  if (!state.group) return [["", places]];
  const groups = new Map();
  for (const i of places) {
    const name = facetOf(ROWS[i], state.group);
    groups.set(name, [...(groups.get(name) || []), i]);
  }
  const last = name => Number(name === "not known");
  return [...groups].sort(([a], [b]) => last(a) - last(b) || a.localeCompare(b, "en", {numeric: true}));
}

function renderTable() {
  const places = shownRows(), columns = shownColumns(), hidden = new Set(state.hide);
  [...table.tBodies].forEach(body => body.remove());
  for (const [name, members] of groupsOf(places)) {
    const body = el("tbody");
    if (name) {
      body.append(el("tr", {className: "group"},
        el("th", {scope: "rowgroup", colSpan: columns.length + 1}, `${name} (${members.length})`)));
    }
    body.append(...members.map(i => lines[i]));
    table.append(body);
  }
  for (const cells of [heads, ...lines.map(line => [...line.cells])]) {
    COLUMNS.forEach((column, i) => { cells[i + 1].hidden = hidden.has(column.id); });
  }
  heads.forEach((head, i) => {
    const mine = state.sort && state.sort === (i ? COLUMNS[i - 1].id : "name");
    if (mine) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
  table.classList.toggle("full", state.full);
  if (state.full) lines.forEach(addFacts);
  const text = `${places.length} of ${ROWS.length} checkpoints, ${columns.length} of ${COLUMNS.length} columns`;
  if (byId("count").textContent !== text) { byId("count").textContent = text; say(text); }
}
onChange.push(renderTable);

// The first press of a heading shows the best value first, the second the worst, the third the first order.
function sortBy(i) {
  const id = i ? COLUMNS[i - 1].id : "name", first = i ? COLUMNS[i - 1].best > 0 : false;
  if (state.sort !== id) set({sort: id, down: first});
  else if (state.down === first) set({down: !first});
  else set({sort: "", down: false});
}

// A third line in each cell: rank, seeds, cost.
function addFacts(line) {
  ROWS[line.dataset.row].cells.forEach((cell, i) => {
    const summary = line.cells[i + 1].querySelector("summary");
    if (!cell || summary.querySelector(".fact")) return;
    const facts = [];
    if (cell.r) facts.push(`rank ${span(cell.r)}`);
    if (cell.d) facts.push(`Δ ${signed(cell.d[0], COLUMNS[i].digits)}`);
    const seconds = meanSeconds(cell), seeds = cell.runs.length;
    const cost = [`${seeds} run${seeds > 1 ? "s" : ""}`, seconds === null ? "" : `× ${duration(seconds)}`].filter(Boolean).join(" ");
    for (const text of [facts.join(" · "), cost]) if (text) summary.append(el("small", {className: "fact"}, text));
  });
}

const span = ([first, last]) => first === last ? `${first}` : `${first}–${last}`;
const signed = (value, digits) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);

function meanSeconds(cell) {
  const known = cell.runs.map(run => run[1]).filter(seconds => seconds !== null);
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
}

function duration(seconds) {
  if (seconds < 90) return `${seconds < 10 ? seconds.toFixed(1) : seconds.toFixed(0)} s`;
  return seconds < 5400 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

// The low and high end of a cell: its interval, else its mean ± one standard deviation.
function endsOf(cell) {
  if (cell.i && cell.i[0] !== null) return cell.i;
  return cell.sd !== undefined && cell.m !== undefined ? [cell.m - cell.sd, cell.m + cell.sd] : null;
}

// The values of the runs, over the same labels as the mean.
function dotsOf(cell) {
  return cell.v || cell.runs.map(run => run[0]).filter(value => value !== null);
}

function strip(cell, low, high) {
  const width = 96, x = value => (6 + (high > low ? (value - low) / (high - low) : .5) * (width - 12)).toFixed(1);
  const made = draw("svg", {width, height: 14, "aria-hidden": "true"}, draw("line", {x1: 6, x2: width - 6, y1: 7, y2: 7, class: "base"}));
  const ends = endsOf(cell);
  if (ends) made.append(draw("line", {x1: x(ends[0]), x2: x(ends[1]), y1: 7, y2: 7, class: "spread"}));
  for (const value of dotsOf(cell)) made.append(draw("circle", {cx: x(value), cy: 7, r: 2.5, class: "run"}));
  if (cell.m !== undefined) made.append(draw("line", {x1: x(cell.m), x2: x(cell.m), y1: 1, y2: 13, class: "mean"}));
  return made;
}

// Make the static table live: headings that sort, cells that open, marks with words, small plots.
function enhanceTable() {
  table.classList.add("live");
  heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => sortBy(i)));
  COLUMNS.forEach((column, i) => {
    const cells = ROWS.map(row => row.cells[i]).filter(Boolean);
    const values = cells.flatMap(cell => [...dotsOf(cell), ...(endsOf(cell) || [])]);
    const low = Math.min(...values), high = Math.max(...values);
    ROWS.forEach((row, at) => {
      const summary = lines[at].cells[i + 1].querySelector("summary");
      if (!summary) return;
      summary.setAttribute("role", "button");
      summary.setAttribute("aria-haspopup", "dialog");
      if (values.length) summary.append(strip(row.cells[i], low, high));
    });
  });
  for (const mark of table.querySelectorAll(".k")) {
    const [kind, words] = WORDS[mark.textContent] || ["", mark.textContent];
    if (kind) mark.classList.add(kind);
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", words);
    mark.title = words;
  }
  table.addEventListener("click", event => {
    const cell = event.target.closest("summary")?.closest("td");
    if (!cell) return;
    event.preventDefault();
    set({cell: `${ROWS[cell.parentNode.dataset.row].id}.${COLUMNS[cell.cellIndex - 1].id}`});
  });
  table.addEventListener("keydown", event => {
    const step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
    const cell = step && document.activeElement.closest("#table summary")?.closest("td");
    if (!cell) return;
    event.preventDefault();
    const all = [...table.querySelectorAll("tbody tr:not(.group)")];
    for (let row = all.indexOf(cell.parentNode) + step[0], column = cell.cellIndex + step[1];
      all[row]?.cells[column]; row += step[0], column += step[1]) {
      const next = all[row].cells[column].hidden ? null : all[row].cells[column].querySelector("summary");
      if (next) { next.focus(); return; }
    }
  });
}
