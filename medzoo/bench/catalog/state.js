// The state of the page: of each list its search, order and filters; which entries are open; the tab.
const LISTS = DATA.lists, ENTRIES = new Map();
for (const list of LISTS) {
  list.entries = list.entries.map(([id, places, keys]) =>
    ({id, list, keys, facets: places.map((mine, i) => mine.map(at => list.facets[i].values[at]))}));
  for (const entry of list.entries) ENTRIES.set(entry.id, entry);
}
const view = () => ({find: "", sort: "", only: {}});
const START = () => ({tab: "", open: [], ...Object.fromEntries(LISTS.map(list => [list.id, view()]))});
const QUIET = {open: []};

function encoded(of) {
  const words = new URLSearchParams();
  if (of.tab) words.set("tab", of.tab);
  for (const {id, prefix, facets} of LISTS) {
    const {find, sort, only} = of[id];
    if (find) words.set(prefix + "find", find);
    if (sort) words.set(prefix + "sort", sort);
    for (const facet of facets) for (const value of only[facet.name] || []) words.append(prefix + facet.name, value);
  }
  for (const id of of.open) words.append("open", id);
  return words.toString();
}

// What a fragment says: a view, or only the id of an entry. Words that this page does not know are left out.
function decoded(text) {
  const plain = text.replace(/^#/, ""), read = START();
  let id = plain;
  try { id = decodeURIComponent(plain); } catch (error) { /* not an id */ }
  if (ENTRIES.has(id)) {
    const {list} = ENTRIES.get(id);
    return {...read, open: [id], tab: list === LISTS[0] ? "" : list.id};
  }
  const words = new URLSearchParams(plain);
  if (TABS.some(part => part.dataset.tab === words.get("tab")) && words.get("tab") !== FIRST_TAB) read.tab = words.get("tab");
  read.open = [...new Set(words.getAll("open"))].filter(one => ENTRIES.has(one));
  for (const list of LISTS) {
    const mine = read[list.id];
    mine.find = words.get(list.prefix + "find") || "";
    const sort = words.get(list.prefix + "sort") || "";
    if (ordersOf(list).some(([value]) => value === sort)) mine.sort = sort;
    for (const facet of list.facets) {
      const known = words.getAll(list.prefix + facet.name).filter(value => facet.values.includes(value));
      if (known.length) mine.only[facet.name] = [...new Set(known)];
    }
  }
  return read;
}

// The orders of a list: their value in the address, and their words. The first is that of the page.
function ordersOf(list) {
  return [["", "name, A to Z"], ["name.down", "name, Z to A"],
    ...list.sorts.flatMap(([key, words]) => [[`${key}.down`, `${words}, highest first`], [`${key}.up`, `${words}, lowest first`]])];
}
