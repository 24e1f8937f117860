// The controls of a list: search, order, filters with counts, and what is chosen.
function toggleValue(list, name, value) {
  const {only} = state[list.id], now = only[name] || [];
  const chosen = now.includes(value) ? now.filter(one => one !== value) : [...now, value];
  const {[name]: _, ...rest} = only;
  change(list, {only: chosen.length ? {...rest, [name]: chosen} : rest});
}

function facetPart(list, facet, at) {
  const chosen = el("small"), holder = el("div", {className: "values", role: "group", "aria-label": facet.title});
  const lines = facet.values.map((value, i) => {
    const box = el("input", {type: "checkbox", change: () => toggleValue(list, facet.name, value)}), count = el("small");
    const line = el("label", {}, box, el("span", {}, facet.words[i]), count);
    holder.append(line);
    return {value, box, count, line};
  });
  onChange.push(() => {
    const now = state[list.id].only[facet.name] || [];
    const others = list.entries.filter(entry => passes(list, entry, at));
    for (const {value, box, count, line} of lines) {
      const found = others.filter(entry => entry.facets[at].includes(value)).length;
      box.checked = now.includes(value);
      count.textContent = found;
      line.classList.toggle("nothing", !found);
    }
    chosen.textContent = now.length ? `${now.length} chosen` : "";
  });
  return el("details", {open: facet.shown || Boolean(state[list.id].only[facet.name])}, el("summary", {}, facet.title, chosen), holder);
}

function buildFacets(list) {
  const side = list.part.querySelector(".facets");
  const opener = el("button", {type: "button", className: "opener", "aria-expanded": "false", click: () => {
    opener.setAttribute("aria-expanded", side.classList.toggle("shown"));
  }}, "Filters");
  side.append(opener, ...list.facets.map((facet, at) => facetPart(list, facet, at)));
}

function buildTools(list) {
  const find = el("input", {type: "search", placeholder: list.find, "aria-label": `Find ${list.id}`,
    input: () => change(list, {find: find.value}, "find")});
  const order = el("select", {change: () => change(list, {sort: order.value})},
    ...ordersOf(list).map(([value, words]) => el("option", {value}, words)));
  const back = el("button", {type: "button", className: "undo", click: undo}, "Undo");
  const reset = el("button", {type: "button", className: "reset", click: () => set({[list.id]: view()})}, "Reset");
  const active = el("span", {className: "bar active"}), count = el("span", {className: "count"});
  list.part.querySelector(".tools").append(
    el("div", {className: "bar"}, find, el("label", {}, "Sort by ", order), back, reset, themeButton(), count), active);
  onChange.push(() => {
    const {find: words, sort, only} = state[list.id];
    if (find.value !== words) find.value = words;
    order.value = sort;
    back.disabled = !past.length;
    reset.disabled = !words && !sort && !Object.keys(only).length;
    const chosen = list.facets.flatMap(facet => (only[facet.name] || []).map(value => [facet, value]));
    active.replaceChildren(...chosen.map(([facet, value]) => el("button", {type: "button", "aria-label": `Remove the filter ${facet.title}: ${value}`,
      click: () => toggleValue(list, facet.name, value)}, `${facet.title}: ${value}`)));
  });
}
