// The controls above the table: search, groups, filters, columns, the view as CSV, light and dark.
function counted(facet) {
  const counts = new Map(), place = FACETS.indexOf(facet);
  for (const row of ROWS) counts.set(row.facets[place], (counts.get(row.facets[place]) || 0) + 1);
  return [...counts].sort(([a], [b]) => a.localeCompare(b, "en", {numeric: true}));
}
// a facet with one value, or of which nothing is known, chooses nothing
const EMPTY = ["random weights", "not known"];
const USED_FACETS = FACETS.filter(facet => counted(facet).length > 1 && counted(facet).some(([value]) => !EMPTY.includes(value)));

function toggleFacet(name, value) {
  const now = state.only[name] || [], only = {...state.only};
  only[name] = now.includes(value) ? now.filter(one => one !== value) : [...now, value];
  if (!only[name].length) delete only[name];
  set({only});
}

function chips(title, items) {
  return el("fieldset", {}, el("legend", {}, title), el("div", {className: "chips"}, ...items));
}

function filterPanel() {
  const panel = el("div", {className: "panel", id: "filters", hidden: true});
  for (const facet of USED_FACETS) {
    panel.append(chips(facet.title, counted(facet).map(([value, count]) => {
      const button = el("button", {type: "button", click: () => toggleFacet(facet.name, value)}, `${value} (${count})`);
      onChange.push(() => button.setAttribute("aria-pressed", (state.only[facet.name] || []).includes(value)));
      return button;
    })));
  }
  return panel;
}

function columnPanel() {
  const panel = el("div", {className: "panel", id: "columns", hidden: true});
  const hideUnless = keep => set({hide: COLUMNS.filter(column => !keep(column)).map(column => column.id)});
  // one press shows only the columns of a task, a metric or a mode
  for (const [key, title] of [["task", "Only the task"], ["metric", "Only the metric"], ["mode", "Only the mode"]]) {
    const values = [...new Set(COLUMNS.map(column => column[key]).filter(Boolean))];
    if (values.length < 2) continue;
    panel.append(chips(title, values.map(value =>
      el("button", {type: "button", click: () => hideUnless(column => column[key] === value)}, value))));
  }
  panel.append(chips("Columns", [
    el("button", {type: "button", click: () => set({hide: []})}, "all"),
    ...COLUMNS.map(column => {
      const text = [column.title, ...column.detail, column.heading].join(", ");
      const button = el("button", {type: "button", click: () => {
        const hide = state.hide.includes(column.id) ? state.hide.filter(id => id !== column.id) : [...state.hide, column.id];
        set({hide});
      }}, text);
      onChange.push(() => button.setAttribute("aria-pressed", !state.hide.includes(column.id)));
      return button;
    }),
  ]));
  return panel;
}

function opener(text, panel) {
  const button = el("button", {type: "button", "aria-expanded": "false", "aria-controls": panel.id, click: () => {
    panel.hidden = !panel.hidden;
    button.setAttribute("aria-expanded", !panel.hidden);
  }}, text);
  return button;
}

// The active filters, each with a button that takes it away.
function activeBar() {
  const bar = el("div", {className: "bar"}), active = el("span", {className: "bar active"});
  const back = el("button", {type: "button", id: "undo", click: undo}, "Undo");
  const reset = el("button", {type: "button", id: "reset", click: () => set(START())}, "Reset view");
  bar.append(back, reset, active, el("span", {id: "count"}));
  onChange.push(() => {
    back.disabled = !past.length;
    reset.disabled = encoded({...state, ...QUIET}) === "";
    const items = Object.entries(state.only).flatMap(([name, values]) => values.map(value => [value, () => toggleFacet(name, value)]));
    if (state.find) items.push([`“${state.find}”`, () => set({find: ""})]);
    if (state.hide.length) items.push([`${state.hide.length} hidden column${state.hide.length > 1 ? "s" : ""}`, () => set({hide: []})]);
    active.replaceChildren(...items.map(([text, click]) =>
      el("button", {type: "button", "aria-label": `Remove the filter ${text}`, click}, text)));
  });
  return bar;
}

function buildTools() {
  const filters = filterPanel(), columns = columnPanel();
  const find = el("input", {type: "search", id: "find", placeholder: "Find checkpoints", "aria-label": "Find checkpoints by name or facts",
    input: () => set({find: find.value}, "find")});
  const group = el("select", {id: "group", change: () => set({group: group.value})}, el("option", {value: ""}, "nothing"),
    ...USED_FACETS.map(facet => el("option", {value: facet.name}, facet.title.toLowerCase())));
  const full = el("button", {type: "button", id: "full", click: () => set({full: !state.full})}, "Rank and cost");
  onChange.push(() => {
    if (document.activeElement !== find) find.value = state.find;
    group.value = state.group;
    full.setAttribute("aria-pressed", state.full);
  });
  byId("tools").append(
    el("div", {className: "bar"}, find,
      USED_FACETS.length ? el("label", {}, "Group by ", group) : "", USED_FACETS.length ? opener("Filters", filters) : "",
      opener("Columns", columns), full, el("button", {type: "button", id: "csv", click: saveCsv}, "Save as CSV"), themeButton()),
    filters, columns, activeBar());
}

// The view as CSV, a line for each cell. Missing cells stay, without a value.
function csv() {
  const names = ["checkpoint", "label", ...FACETS.map(facet => facet.name), "task", "column", "metric", "mode", "reported", "mean",
    "low", "high", "sd", "n", "rank_first", "rank_last", "difference", "difference_low", "difference_high", "p_adjusted", "seen_data"];
  const records = [names];
  for (const i of groupsOf(shownRows()).flatMap(([, members]) => members)) {
    for (const at of shownColumns()) {
      const row = ROWS[i], column = COLUMNS[at], cell = row.cells[at] || {};
      const [low, high] = cell.i || [], [first, last] = cell.r || [], [delta, below, above, p] = cell.d || [];
      records.push([row.name, row.label, ...row.facets, column.task, [column.title, ...column.detail].join(", "), column.metric,
        column.mode, column.reported ? "yes" : "no", cell.m, low, high, cell.sd, cell.n, first, last, delta, below, above, p, DATA.texts[cell.seen]]);
    }
  }
  const field = value => {
    if (value === undefined || value === null) return "";
    // a spreadsheet would compute a text that begins like a formula
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? "'" + value : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return records.map(record => record.map(field).join(",") + "\r\n").join("");
}

function saveCsv() {
  const address = URL.createObjectURL(new Blob(["\ufeff", csv()], {type: "text/csv"}));
  el("a", {href: address, download: "table.csv"}).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
  say("The view is saved as table.csv.");
}
