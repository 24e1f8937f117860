// The sections of plots, and the start of the page.
const eachColumn = make => width => shownColumns().map(place => make(COLUMNS[place], place, width)).filter(Boolean);
let costKind = "parameters";
const PLOTS = [
  {id: "forest", title: "Differences to the control", make: eachColumn(forest), text: "With 95 % intervals, on the same patients. ▲ better, ▼ worse, ■ equivalent, ○ undecided; verdicts are corrected for all comparisons of the table (Holm)."},
  {id: "ranks", title: "Ranks", make: eachColumn(ranks), text: "All ranks that the results allow (95 %, all pairs of a column). Dark: may be the best."},
  {id: "curves", title: "Scores over training images", make: width => curveGroups().map(places => curves(places, width)).filter(Boolean), text: "Upright lines are the intervals of the cells (or ± one standard deviation)."},
  {id: "reliability", title: "Reliability of the probabilities", make: eachColumn(reliability), text: "All runs of a cell together, in bins of equal mass. Below the diagonal, the probabilities are too high. Of several classes: the highest probability, and how often its class is right."},
  {id: "cost", title: "Cost and score", make: eachColumn((column, place, width) => cost(column, place, width, costKind)), text: "● on the front: no cheaper checkpoint has a better mean. ○ may be on it: the intervals overlap. × off it."},
];

function plotSection({id, title, make, text}) {
  const area = el("div", {className: "figures"}), tools = el("p", {className: "plot-tools"}, text);
  const section = el("details", {id: `plot-${id}`}, el("summary", {}, title), tools, area);
  const redraw = () => {
    if (!section.open) return;
    const made = make(widthOf(area));
    area.replaceChildren(...(made.length ? made : [el("p", {}, "The shown rows and columns have no data for this plot.")]));
  };
  if (id === "cost" && kindsOfCost().length > 1) {
    const kind = el("select", {change: () => { costKind = kind.value; redraw(); }}, ...kindsOfCost().map(value =>
      el("option", {value}, value === "time" ? "time of a run" : value)));
    tools.append(" ", el("label", {}, "Cost: ", kind));
  }
  section.addEventListener("toggle", redraw);
  addEventListener("resize", redraw);
  onChange.push(redraw);
  return section;
}

const kindsOfCost = () => ["parameters", "time"].filter(kind => COLUMNS.some((column, place) => cost(column, place, WIDTH, kind)));

enhanceTable();
buildTools();
buildTabs();
costKind = kindsOfCost()[0] || "time";
for (const plot of PLOTS) if (plot.make(WIDTH).length) byId("plots").append(plotSection(plot));
document.querySelectorAll(".script-only").forEach(part => { part.hidden = part.id === "plots" && !part.children.length; });
state = decoded(location.hash);
show();
