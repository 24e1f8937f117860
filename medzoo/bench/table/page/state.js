// The state of the table's view: order, filters, hidden columns, the open cell, the tab.
const COLUMNS = DATA.columns, ROWS = DATA.rows, FACETS = DATA.facets;
const columnAt = new Map(COLUMNS.map((column, i) => [column.id, i]));
const rowAt = new Map(ROWS.map((row, i) => [row.id, i]));

function draw(tag, attributes = {}, ...children) {
  const made = document.createElementNS(byId("drawing").namespaceURI, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const START = () => ({sort: "", down: false, find: "", group: "", full: false, hide: [], only: {}, cell: "", tab: ""});
const QUIET = {cell: ""};

function encoded(of) {
  const words = new URLSearchParams();
  if (of.sort) words.set("sort", of.sort + (of.down ? ".down" : ".up"));
  if (of.find) words.set("find", of.find);
  if (of.group) words.set("group", of.group);
  if (of.full) words.set("full", "1");
  if (of.hide.length) words.set("hide", of.hide.join("."));
  for (const facet of FACETS) for (const value of of.only[facet.name] || []) words.append(facet.name, value);
  if (of.cell) words.set("cell", of.cell);
  if (of.tab) words.set("tab", of.tab);
  return words.toString();
}

// What a fragment says; words that this table does not know are left out.
function decoded(text) {
  const words = new URLSearchParams(text.replace(/^#/, "")), read = START();
  const [id, way] = (words.get("sort") || "").split(".");
  if (columnAt.has(id) || id === "name") { read.sort = id; read.down = way === "down"; }
  read.find = words.get("find") || "";
  read.group = FACETS.some(facet => facet.name === words.get("group")) ? words.get("group") : "";
  read.full = words.get("full") === "1";
  read.hide = (words.get("hide") || "").split(".").filter(one => columnAt.has(one));
  FACETS.forEach((facet, i) => {
    const known = words.getAll(facet.name).filter(value => ROWS.some(row => row.facets[i] === value));
    if (known.length) read.only[facet.name] = known;
  });
  const [row, column] = (words.get("cell") || "").split(".");
  if (rowAt.has(row) && columnAt.has(column)) read.cell = `${row}.${column}`;
  if (TABS.some(part => part.dataset.tab === words.get("tab"))) read.tab = words.get("tab");
  return read;
}
