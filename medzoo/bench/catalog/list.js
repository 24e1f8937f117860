// A list: which entries are shown, and in which order.
for (const list of LISTS) {
  list.order = "";
  list.part = byId(`part-${list.id}`);
  list.holder = list.part.querySelector(".entries");
  for (const entry of list.entries) {
    entry.details = byId(entry.id).closest("details");
    entry.line = entry.details.closest("li");
    const terms = [...entry.details.querySelectorAll("dt")].filter(term => DATA.searched.includes(term.textContent.trim()));
    const parts = [entry.details.querySelector("summary"), ...terms.map(term => term.nextElementSibling)];
    entry.text = parts.map(part => part.textContent).join(" ").toLowerCase();
  }
}

const change = (list, changes, step = "") => set({[list.id]: {...state[list.id], ...changes}}, step && list.id + step);

// Whether an entry passes the search and all filters, but the one at `except`.
function passes(list, entry, except = -1) {
  const {find, only} = state[list.id];
  return find.toLowerCase().split(/\s+/).every(word => entry.text.includes(word)) &&
    list.facets.every((facet, i) => i === except || !only[facet.name] || only[facet.name].some(value => entry.facets[i].includes(value)));
}

function ordered(list, entries) {
  const [key, way] = state[list.id].sort.split(".");
  if (!key) return entries;
  if (key === "name") return [...entries].reverse();
  const at = list.sorts.findIndex(sort => sort[0] === key), sign = way === "down" ? -1 : 1;
  return [...entries].sort((a, b) => {
    const x = a.keys[at], y = b.keys[at];
    return x === null || y === null ? (x === null) - (y === null) : sign * (x - y);
  });
}

function renderList(list) {
  const shown = list.entries.filter(entry => passes(list, entry));
  for (const entry of list.entries) entry.line.hidden = !shown.includes(entry);
  if (list.order !== state[list.id].sort) {  // only then: a moved element loses the focus
    list.order = state[list.id].sort;
    list.holder.append(...ordered(list, list.entries).map(entry => entry.line));
  }
  list.part.querySelector(".none").hidden = shown.length > 0;
  const count = list.part.querySelector(".count"), text = `${shown.length} of ${list.entries.length} ${list.id}`;
  if (count.textContent !== text) { count.textContent = text; say(text); }
  for (const head of list.part.querySelectorAll(".head button")) {
    const way = state[list.id].sort === `${head.dataset.key}.down` ? "↓" : state[list.id].sort === `${head.dataset.key}.up` ? "↑" : "";
    head.textContent = head.dataset.words + (way ? ` ${way}` : "");
  }
}

// The numbers in the heading sort: highest first, lowest first, the order of the page.
function sortableHead(list) {
  for (const cell of list.part.querySelectorAll(".head span")) {
    const sort = list.sorts.find(([, words]) => words === cell.textContent.toLowerCase());
    if (!sort) continue;
    const next = {[`${sort[0]}.down`]: `${sort[0]}.up`, [`${sort[0]}.up`]: ""};
    const button = el("button", {type: "button", title: `Sort by ${sort[1]}`, click: () => {
      const now = state[list.id].sort;
      change(list, {sort: now in next ? next[now] : `${sort[0]}.down`});
    }}, cell.textContent);
    button.dataset.key = sort[0];
    button.dataset.words = cell.textContent;
    cell.replaceChildren(button);
  }
}
