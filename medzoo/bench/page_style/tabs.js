// Tabs: the parts of the page, the first by default; without a script all are below each other.
const TABS = [...document.querySelectorAll("[data-tab]")];
const FIRST_TAB = TABS.length ? TABS[0].dataset.tab : "";
function buildTabs() {
  if (TABS.length < 2) return;
  const bar = el("div", {id: "tabs", role: "tablist", "aria-label": "Parts of the page"});
  const buttons = TABS.map(part => el("button", {type: "button", role: "tab", id: `tab-${part.dataset.tab}`, "aria-controls": part.id,
    click: () => set({tab: part.dataset.tab === FIRST_TAB ? "" : part.dataset.tab})}, part.dataset.title));
  bar.append(...buttons);
  bar.addEventListener("keydown", event => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!step) return;
    const next = buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length];
    next.focus();
    next.click();
  });
  TABS[0].before(bar);
  onChange.push(() => TABS.forEach((part, i) => {
    const on = part.dataset.tab === (state.tab || FIRST_TAB);
    part.hidden = !on;
    part.setAttribute("role", "tabpanel");
    part.setAttribute("aria-labelledby", buttons[i].id);
    buttons[i].setAttribute("aria-selected", on);
    buttons[i].tabIndex = on ? 0 : -1;
  }));
}
