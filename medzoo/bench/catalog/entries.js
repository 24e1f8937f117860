// Entries: what is open is in the address; code can be copied; a link opens another entry.
for (const [id, {details}] of ENTRIES) {
  details.addEventListener("toggle", () => {
    if (details.open === state.open.includes(id)) return;
    set({open: details.open ? [...state.open, id] : state.open.filter(one => one !== id)});
  });
}

// A button at the title of each piece of code, made when its entry is opened for the first time.
function addCopyButtons(details) {
  for (const block of details.querySelectorAll("h4 + pre:not(.layout)")) {
    const title = block.previousElementSibling;
    if (title.querySelector("button")) continue;
    const button = el("button", {type: "button", className: "copy", "aria-label": `Copy: ${title.textContent}`,
      click: () => copyText(block.textContent, button, "code")}, "Copy");
    title.append(button);
  }
}

onChange.push(() => {
  for (const [id, {details}] of ENTRIES) {
    const open = state.open.includes(id);
    if (open) addCopyButtons(details);
    if (details.open !== open) details.open = open;
  }
});

// Show an entry, wherever it is: its tab, without filters that hide it.
function goTo(id) {
  const entry = ENTRIES.get(id), {list, details} = entry;
  const changes = {tab: list === LISTS[0] ? "" : list.id, open: [...new Set([...state.open, id])]};
  if (!passes(list, entry)) changes[list.id] = view();
  set(changes);
  details.scrollIntoView();
  details.querySelector("summary").focus({preventScroll: true});
}

document.addEventListener("click", event => {
  const link = event.target.closest?.('a[href^="#"]');
  const id = link && decodeURIComponent(link.getAttribute("href").slice(1));
  if (!ENTRIES.has(id)) return;
  event.preventDefault();
  goTo(id);
});
