// The start of the page.
document.body.classList.add("live");
state = decoded(location.hash);
const linked = state.open;
for (const list of LISTS) { sortableHead(list); buildTools(list); buildFacets(list); }
for (const list of LISTS) onChange.push(() => renderList(list));
buildTabs();
show();
if (linked.length) ENTRIES.get(linked[0]).details.scrollIntoView();
