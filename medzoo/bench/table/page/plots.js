// Plots of the shown rows and columns. A plot is drawn when its section is opened, and again after each change.
const WIDTH = 460, LEAST = 420, GAP = 32, LABEL = 205, LINE = 22, COLOURS = 7, SHAPES = ["●", "■", "▲", "◆", "▼", "✚", "★"];

// A long name without its middle, since names differ at their ends.
const clipped = (text, most = 26) => text.length > most ? text.slice(0, Math.ceil(most * .6)) + "…" + text.slice(1 - Math.floor(most * .4)) : text;
const titleOf = column => [column.title, ...column.detail].join(", ");

function ticks(low, high, count = 4) {
  const rough = (high - low || 1) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map(one => one * power).find(one => one >= rough);
  const made = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + step * 1e-9; tick += step) made.push(Number(tick.toFixed(10)));
  return made;
}

// A text in a drawing, with its full form for a pointer.
function words(x, y, text, {anchor = "start", full = "", kind = ""} = {}) {
  const made = draw("text", {x, y, "text-anchor": anchor, class: kind});
  made.textContent = text;
  if (full) hint(made, full);
  return made;
}

function hint(mark, text) {
  const title = draw("title");
  title.textContent = text;
  mark.append(title);
  return mark;
}

function figure(title, drawing, description) {
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", `${title}. ${description}`);
  const made = el("figure", {}, el("figcaption", {}, title), drawing);
  made.style.width = `${drawing.getAttribute("width")}px`;
  return made;
}

// As many figures side by side as fit.
function widthOf(area) {
  const across = Math.max(1, Math.floor((area.clientWidth + GAP) / (LEAST + GAP)));
  return Math.max(280, Math.min(560, Math.floor((area.clientWidth - GAP * (across - 1)) / across)));
}

// Rows of labels with a scale below: the ground of the forest plot and of the ranks.
function ground(width, members, low, high, name, whole) {
  const left = Math.min(LABEL, width * .42), height = members.length * LINE + 38, right = width - 14;
  const x = value => left + 10 + (high > low ? (value - low) / (high - low) : .5) * (right - left - 10);
  const drawing = draw("svg", {width, height});
  for (const tick of ticks(low, high).filter(one => !whole || Number.isInteger(one))) {
    drawing.append(draw("line", {x1: x(tick), x2: x(tick), y1: 2, y2: height - 34, class: "base"}));
    drawing.append(words(x(tick), height - 20, String(tick).replace("-", "−"), {anchor: "middle", kind: "scale"}));
  }
  drawing.append(words((left + right) / 2, height - 4, name, {anchor: "middle", kind: "scale"}));
  members.forEach((i, at) => {
    drawing.append(words(0, at * LINE + 16, clipped(ROWS[i].label, Math.floor(left / 6.6)), {full: ROWS[i].label}));
  });
  return {drawing, x, y: at => at * LINE + 12, bottom: height - 34};
}

function forest(column, place, width) {
  const members = shownRows().filter(i => ROWS[i].cells[place]?.d).sort((a, b) => column.best * (ROWS[b].cells[place].d[0] - ROWS[a].cells[place].d[0]));
  if (!members.length) return null;
  const found = members.map(i => ROWS[i].cells[place].d);
  const all = [0, ...found.flatMap(d => [d[0], d[1], d[2]].filter(value => value !== null))];
  const better = column.best > 0 ? "better →" : "← better";
  const {drawing, x, y, bottom} = ground(width, members, Math.min(...all), Math.max(...all), `difference of ${column.metric}, ${better}`);
  drawing.append(draw("line", {x1: x(0), x2: x(0), y1: 0, y2: bottom, class: "zero"}));
  found.forEach(([delta, low, high, p, verdict], at) => {
    const kind = {b: "better", w: "worse", e: "same", u: "open"}[verdict];
    const mark = draw("g", {class: kind});
    if (low !== null) mark.append(draw("line", {x1: x(low), x2: x(high), y1: y(at), y2: y(at), class: "whisker"}));
    mark.append(pointShape(x(delta), y(at), verdict));
    const ends = low === null ? "" : ` [${signed(low, column.digits)}, ${signed(high, column.digits)}]`;
    drawing.append(hint(mark, `${ROWS[members[at]].label}: ${signed(delta, column.digits)}${ends}, ${VERDICTS[verdict]}${p === null ? "" : `, adjusted p ${p}`}`));
  });
  return figure(titleOf(column), drawing, found.map(([delta,,,, verdict], at) =>
    `${ROWS[members[at]].label} ${signed(delta, column.digits)} ${VERDICTS[verdict]}`).join("; "));
}

function pointShape(x, y, verdict) {
  if (verdict === "b") return draw("path", {d: `M${x - 5} ${y + 4}h10l-5 -9z`});
  if (verdict === "w") return draw("path", {d: `M${x - 5} ${y - 4}h10l-5 9z`});
  if (verdict === "e") return draw("rect", {x: x - 4, y: y - 4, width: 8, height: 8});
  return draw("circle", {cx: x, cy: y, r: 4});
}

function ranks(column, place, width) {
  const members = shownRows().filter(i => ROWS[i].cells[place]?.r);
  if (members.length < 2) return null;
  const rank = i => ROWS[i].cells[place].r;
  members.sort((a, b) => rank(a)[0] - rank(b)[0] || rank(a)[1] - rank(b)[1] || a - b);
  const {drawing, x, y} = ground(width, members, 1, Math.max(2, ...members.map(i => rank(i)[1])), "possible ranks, 1 is the best", true);
  members.forEach((i, at) => {
    const [first, last] = rank(i), kind = ROWS[i].cells[place].t ? "best" : "range";
    const mark = first === last ? draw("circle", {cx: x(first), cy: y(at), r: 5, class: kind})
      : draw("rect", {x: x(first) - 5, y: y(at) - 5, width: x(last) - x(first) + 10, height: 10, rx: 5, class: kind});
    drawing.append(hint(mark, `${ROWS[i].label}: rank ${span([first, last])}${kind === "best" ? ", may be the best" : ""}`));
  });
  return figure(titleOf(column), drawing, members.map(i => `${ROWS[i].label} ${span(rank(i))}`).join("; "));
}

// A plane with two scales, for curves and for cost.
function plane(width, xs, ys, xName, yName, log) {
  const height = 270, left = 46, right = width - 14, top = 10, bottom = height - 42;
  const to = log ? Math.log10 : value => value, [x0, x1] = [Math.min(...xs), Math.max(...xs)].map(to);
  const gap = (Math.max(...ys) - Math.min(...ys)) * .06 || .01, y0 = Math.min(...ys) - gap, y1 = Math.max(...ys) + gap;
  const x = value => left + 12 + (x1 > x0 ? (to(value) - x0) / (x1 - x0) : .5) * (right - left - 24);
  const y = value => bottom - (value - y0) / (y1 - y0) * (bottom - top);
  const drawing = draw("svg", {width, height});
  for (const tick of ticks(y0, y1)) {
    drawing.append(draw("line", {x1: left, x2: right, y1: y(tick), y2: y(tick), class: "base"}));
    drawing.append(words(left - 6, y(tick) + 4, String(tick), {anchor: "end", kind: "scale"}));
  }
  drawing.append(words((left + right) / 2, height - 6, xName, {anchor: "middle", kind: "scale"}));
  const side = words(0, 0, yName, {anchor: "middle", kind: "scale"});
  side.setAttribute("transform", `translate(11 ${(top + bottom) / 2}) rotate(-90)`);
  drawing.append(side);
  return {drawing, x, y, tick: (value, text) => drawing.append(words(x(value), bottom + 18, text, {anchor: "middle", kind: "scale"}))};
}

// Scores over the part of the training images, for columns that differ only in it.
function curveGroups() {
  const groups = new Map();
  for (const place of shownColumns()) {
    const column = COLUMNS[place];
    if (column.curve) groups.set(column.curve, [...(groups.get(column.curve) || []), place]);
  }
  return [...groups.values()].filter(places => new Set(places.map(place => COLUMNS[place].part)).size > 1);
}

function curves(places, width) {
  const sorted = [...places].sort((a, b) => COLUMNS[a].part - COLUMNS[b].part), first = COLUMNS[sorted[0]];
  const series = shownRows().map(i => [i, sorted.filter(place => ROWS[i].cells[place]?.m !== undefined)]).filter(([, points]) => points.length);
  if (!series.length) return null;
  const value = (i, place) => ROWS[i].cells[place].m, end = ([i, points]) => value(i, points[points.length - 1]);
  const ys = series.flatMap(([i, points]) => points.flatMap(place => [value(i, place), ...(endsOf(ROWS[i].cells[place]) || [])]));
  const name = first.per_class ? "training images per class" : "share of the training patients";
  const {drawing, x, y, tick} = plane(width, sorted.map(place => COLUMNS[place].part), ys, name, first.heading, true);
  for (const part of new Set(sorted.map(place => COLUMNS[place].part))) tick(part, first.per_class ? part : `${Number((100 * part).toPrecision(3))} %`);
  series.sort((a, b) => first.best * (end(b) - end(a)));
  series.map((one, at) => [one, at]).reverse().forEach(([[i, points], at]) => {
    const kind = at < COLOURS ? `series s${at}` : "series rest";
    const line = draw("g", {class: kind});
    line.append(draw("polyline", {points: points.map(place => `${x(COLUMNS[place].part)},${y(value(i, place))}`).join(" ")}));
    for (const place of points) {
      const ends = endsOf(ROWS[i].cells[place]), at_ = x(COLUMNS[place].part);
      if (ends) line.append(draw("line", {x1: at_, x2: at_, y1: y(ends[0]), y2: y(ends[1]), class: "whisker"}));
      line.append(at < COLOURS ? words(at_, y(value(i, place)) + 4, SHAPES[at], {anchor: "middle", kind: "mark"}) : draw("circle", {cx: at_, cy: y(value(i, place)), r: 2}));
    }
    drawing.append(hint(line, ROWS[i].label));
  });
  const made = figure([first.task, first.metric, first.mode].filter(Boolean).join(", "), drawing, series.map(([i, points]) =>
    `${ROWS[i].label} ${points.map(place => value(i, place).toFixed(first.digits)).join(", ")}`).join("; "));
  made.append(legend(series.map(([i]) => i)));
  return made;
}

// Predicted probability against observed frequency: on the diagonal, the probabilities are right.
function reliability(column, place, width) {
  const members = shownRows().filter(i => ROWS[i].cells[place]?.rel);
  if (!members.length) return null;
  members.sort((a, b) => column.best * ((ROWS[b].cells[place].m ?? 0) - (ROWS[a].cells[place].m ?? 0)));
  const {drawing, x, y, tick} = plane(Math.min(width, 380), [0, 1], [0, 1], "predicted probability", "observed frequency", false);
  [0, .25, .5, .75, 1].forEach(value => tick(value, String(value)));
  drawing.append(draw("line", {x1: x(0), y1: y(0), x2: x(1), y2: y(1), class: "zero"}));
  members.map((i, at) => [i, at]).reverse().forEach(([i, at]) => {
    const values = ROWS[i].cells[place].rel, points = values.filter((_, k) => k % 2 === 0).map((value, k) => [x(value), y(values[2 * k + 1])]);
    const line = draw("g", {class: at < COLOURS ? `series s${at}` : "series rest"}, draw("polyline", {points: points.join(" ")}));
    if (at < COLOURS) line.append(...points.map(([left, top]) => words(left, top + 4, SHAPES[at], {anchor: "middle", kind: "mark"})));
    drawing.append(hint(line, ROWS[i].label));
  });
  const made = figure(titleOf(column), drawing, `Lines of ${members.map(i => ROWS[i].label).join(", ")}`);
  made.append(legend(members));
  return made;
}

function legend(members) {
  return el("ol", {className: "legend"}, ...members.slice(0, COLOURS).map((i, at) =>
    el("li", {}, el("span", {className: `s${at}`, "aria-hidden": "true"}, SHAPES[at]), ROWS[i].label)),
  members.length > COLOURS ? el("li", {}, `grey: ${members.length - COLOURS} more`) : "");
}

// Cost against score. A checkpoint is off the front only if a cheaper one is better beyond both intervals.
function costOf(row, cell, kind) { return kind === "parameters" ? row.parameters : meanSeconds(cell); }

function cost(column, place, width, kind) {
  const points = shownRows().map(i => ({i, cell: ROWS[i].cells[place]})).filter(({i, cell}) => cell?.m !== undefined && costOf(ROWS[i], cell, kind))
    .map(({i, cell}) => ({i, m: cell.m, ends: endsOf(cell) || [cell.m, cell.m], cost: costOf(ROWS[i], cell, kind)}));
  if (column.reported || points.length < 2 || new Set(points.map(point => point.cost)).size < 2) return null;
  const {drawing, x, y, tick} = plane(width, points.map(point => point.cost), points.flatMap(point => [point.m, ...point.ends]),
    kind === "parameters" ? "parameters" : "time of a run", column.heading, true);
  const costs = [...new Set(points.map(point => point.cost))].sort((a, b) => a - b);
  const text = value => kind === "parameters" ? `${(value / 1e6).toPrecision(2)} M` : duration(value);
  let last = -Infinity;
  for (const value of costs) if (x(value) - last > 52) { tick(value, text(value)); last = x(value); }
  const said = [], best = [];
  for (const one of points) {
    const cheaper = points.filter(other => other.cost <= one.cost && other !== one && (other.cost < one.cost || column.best * (other.m - one.m) > 0));
    const beaten = cheaper.some(other => column.best * (other.m - one.m) > 0);
    const surely = cheaper.some(other => column.best > 0 ? other.ends[0] > one.ends[1] : other.ends[1] < one.ends[0]);
    const front = surely ? "off the front" : beaten ? "may be on the front" : "on the front";
    const mark = draw("g", {class: surely ? "off" : beaten ? "maybe" : "front"});
    mark.append(draw("line", {x1: x(one.cost), x2: x(one.cost), y1: y(one.ends[0]), y2: y(one.ends[1]), class: "whisker"}));
    mark.append(surely ? draw("path", {d: `M${x(one.cost) - 4} ${y(one.m) - 4}l8 8m0 -8l-8 8`}) : draw("circle", {cx: x(one.cost), cy: y(one.m), r: 5}));
    if (!beaten) best.push(one);
    drawing.append(hint(mark, `${ROWS[one.i].label}: ${one.m.toFixed(column.digits)}, ${text(one.cost)}, ${front}`));
    said.push(`${ROWS[one.i].label} ${front}`);
  }
  const made = figure(titleOf(column), drawing, said.join("; "));
  made.append(el("div", {className: "legend"}, `On the front: ${best.sort((a, b) => a.cost - b.cost).map(one => ROWS[one.i].label).join(", ")}`));
  return made;
}
