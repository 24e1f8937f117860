"use strict";
// The state of the view. It is in the address fragment, so that a link shows the same view, and every change can be undone.
const DATA = JSON.parse(document.getElementById("data").textContent);
const COLUMNS = DATA.columns, ROWS = DATA.rows, FACETS = DATA.facets;
const byId = id => document.getElementById(id);
const columnAt = new Map(COLUMNS.map((column, i) => [column.id, i]));
const rowAt = new Map(ROWS.map((row, i) => [row.id, i]));

// An element with properties, attributes (those with a dash, and role), listeners (functions) and children.
function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (key.includes("-") || key === "role" || key === "scope") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.filter(child => child !== null && child !== undefined && child !== ""));
  return made;
}

function draw(tag, attributes = {}, ...children) {
  const made = document.createElementNS(byId("drawing").namespaceURI, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const START = () => ({sort: "", down: false, find: "", group: "", full: false, hide: [], only: {}, cell: "", tab: ""});
let state = START();
const past = [];
const onChange = [];  // functions of the other files, called in their order after each change

function encoded(of = state) {
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

function show() {
  const fragment = encoded();
  try { history.replaceState(null, "", fragment ? "#" + fragment : location.pathname + location.search); } catch (error) { /* a sandbox */ }
  onChange.forEach(change => change());
}

// Change the view. Letters typed one after another are one step of undo; an opened cell is none.
function set(change, step = "") {
  const before = encoded({...state, cell: ""});
  state = {...state, ...change};
  if (encoded({...state, cell: ""}) !== before) {
    const last = past[past.length - 1];
    if (!(step && last && last.step === step)) past.push({before, step});
  }
  show();
}

function undo() {
  const last = past.pop();
  if (last) { state = decoded(last.before); show(); say("Undone."); }
}

function say(text) { byId("said").textContent = text; }

addEventListener("hashchange", () => {
  if (location.hash.replace(/^#/, "") === encoded()) return;
  past.push({before: encoded({...state, cell: ""}), step: ""});
  state = decoded(location.hash);
  show();
});
