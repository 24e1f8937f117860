// A cell in full: its statistics, its runs with their files, and the command that makes each.
const dialog = byId("cell");
const VERDICTS = {b: "better", w: "worse", e: "equivalent", u: "undecided"};
let openCell = "";

function commandOf(row, run) {
  if (run.length < 5) return "";
  return `${DATA.texts[run[3]].replace("{checkpoint}", () => row.word)} ${DATA.texts[run[4]]}`;
}

function factsOf(row, column, cell) {
  const facts = [], number = value => value.toFixed(column.digits);
  const add = (term, text) => { if (text) facts.push(el("dt", {}, term), el("dd", {}, text)); };
  if (column.reported) add("Source", "copied from a publication, not run here");
  if (cell.i && cell.i[0] !== null) {
    add("95 % interval", `${number(cell.i[0])} to ${number(cell.i[1])}${cell.why === undefined ? "" : ` (${DATA.texts[cell.why]})`}`);
  } else if (cell.why !== undefined) add("95 % interval", `none: ${DATA.texts[cell.why]}`);
  if (cell.sd !== undefined) add("Spread between runs", `± ${number(cell.sd)} (${column.reported ? "standard deviation, as published" : "sample standard deviation"})`);
  if (!column.reported) add("Values in the mean", cell.n);
  if (cell.r) add("Possible ranks", `${span(cell.r)}${cell.t ? ", may be the best" : ""}`);
  for (const [delta, low, high, p, verdict, control] of cell.d ? [cell.d, ...cell.more || []] : []) {
    const ends = low === null ? "" : ` [${signed(low, column.digits)}, ${signed(high, column.digits)}]`;
    add(`Difference to ${DATA.texts[control]}`, `${signed(delta, column.digits)}${ends}, ${VERDICTS[verdict]}` +
      (p === null ? "" : `, adjusted p ${p < .001 ? "< 0.001" : p.toFixed(3)}`));
  }
  if (cell.noise) add("Noise", "with permuted labels, 1 of 40 values is this good, or the mean of random weights is");
  if (cell.seen !== undefined) add("Test images in pre-training", DATA.texts[cell.seen]);
  const seconds = meanSeconds(cell), device = cell.dev === undefined ? "" : DATA.texts[cell.dev];
  if (seconds !== null) {
    add("Time of a run", `${duration(seconds)}${device ? ` (${device})` : ""}`);
  }
  if (row.parameters) add("Parameters", `${(row.parameters / 1e6).toFixed(1)} million`);
  FACETS.forEach((facet, i) => { if (facet.name === "method" || !EMPTY.includes(row.facets[i])) add(facet.title, row.facets[i]); });
  return facts;
}

// The lines of the runs, from the links of the static table.
function runTable(items, cell, choose) {
  const body = el("tbody");
  items.forEach((item, i) => {
    const link = item.querySelector("a"), run = cell.runs[i];
    const [name, value] = item.textContent.trim().split(/: (?=[^:]*$)/);
    const result = link ? el("a", {href: link.getAttribute("href")}, value) : value;
    const predictions = link && run[2]
      ? el("a", {href: link.getAttribute("href").replace(/\.json$/, ".predictions.parquet")}, "predictions") : "";
    body.append(el("tr", {}, el("td", {}, name), el("td", {}, result), el("td", {}, predictions),
      el("td", {}, run[1] === null ? "" : duration(run[1])),
      el("td", {}, run.length < 5 ? "" : el("button", {type: "button", "aria-label": `Command of ${name}`, click: () => choose(i)}, "command"))));
  });
  const head = ["run", "result", "files", "time", ""].map(text => el("th", {scope: "col"}, text));
  return el("table", {}, el("thead", {}, el("tr", {}, ...head)), body);
}

function commandPart(row, cell) {
  const shown = el("code", {id: "command"}), title = el("b"), hint = el("p", {className: "hint"});
  const copy = el("button", {type: "button", id: "copy", click: () => copyText(shown.textContent, copy, "command", dialog)}, "Copy");
  const part = el("div", {}, el("div", {className: "command"}, title, copy), el("pre", {}, shown), hint);
  const choose = i => {
    const run = cell.runs[i], command = commandOf(row, run), hints = [];
    part.hidden = !command;
    shown.textContent = command;
    title.textContent = `Command of run ${i + 1}`;
    if (command.includes("--root DIR")) hints.push("DIR is your folder of the data.");
    if (/--task '?(folder|parquet|shards):/.test(command)) hints.push("Run it where the path of the data is valid.");
    if (run.length > 5) {
      hints.push("This run had other options of its protocol than the command says: add --config options.toml of its run folder.");
    }
    hint.textContent = hints.join(" ");
  };
  choose(Math.max(0, cell.runs.findIndex(run => run.length >= 5)));
  return [part, choose];
}

function fillDialog(at, place) {
  const row = ROWS[at], column = COLUMNS[place], cell = row.cells[place];
  const td = lines[at].cells[place + 1], [command, choose] = commandPart(row, cell);
  const mean = cell.m === undefined ? cell.w : cell.m.toFixed(column.digits);
  dialog.replaceChildren(
    el("button", {type: "button", className: "close", "aria-label": "Close", click: () => dialog.close()}, "×"),
    el("h2", {id: "cell-title"}, row.label),
    el("div", {}, [column.title, ...column.detail].join(", ")),
    el("p", {className: "value"}, `${mean} `, el("small", {}, column.heading)),
    el("dl", {}, ...factsOf(row, column, cell)),
    runTable([...td.querySelectorAll("li")], cell, choose),
    command,
  );
}

onChange.push(() => {
  if (state.cell === openCell) return;
  openCell = state.cell;
  const [row, column] = openCell.split(".").map((id, i) => (i ? columnAt : rowAt).get(id));
  if (!openCell || !ROWS[row].cells[column]) { if (dialog.open) dialog.close(); return; }
  fillDialog(row, column);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
});
dialog.addEventListener("close", () => {
  const [row, column] = openCell.split(".").map((id, i) => (i ? columnAt : rowAt).get(id));
  openCell = "";
  if (state.cell) set({cell: ""});
  lines[row]?.cells[column + 1]?.querySelector("summary")?.focus();
});
dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
