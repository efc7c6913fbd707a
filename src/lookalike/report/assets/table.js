// The table of operating points: sorted, filtered, columns chosen, identical ones folded away, the best marked.

const table = { sort: "", descending: false, words: "", shown: new Map() };

/** A column of numbers or texts; `good` says which end is best: 1 the highest, -1 the lowest, 0 neither. */
function column(id, title, value, more = {}) {
  return { id, title, value, good: 0, text: false, usual: true, digits: 3, range: () => null, note: () => null, ...more };
}

function metricColumn(metric, title, good, more = {}) {
  const scale = more.scale ?? 1;
  const range = (point) => point.intervals[metric] ?? null;
  return column(metric, title, (point) => (metric in point.metrics ? point.metrics[metric] * scale : null), { good, range, ...more });
}

function measureColumn(measure, k, usual, showRange = false) {
  const value = (point) => valueOf(point, measure, k)?.mean ?? null;
  const range = (point) => {
    const found = valueOf(point, measure, k);
    return found && found.low !== null ? [found.low, found.high] : null;
  };
  const note = (point) => valueOf(point, measure, k)?.missed ?? null;
  return column(`${measure}@${k}`, measureName(measure, k), value, { good: 1, range, usual, showRange, note });
}

/** How evenly queries are answered: columns to be chosen, of both recalls. */
function robustness(k) {
  return ["knn_recall", "relevant_recall"].flatMap((measure) => [
    ...["0.5", "0.8", "0.9"].map((least) => metricColumn(`${measure}_at_${k}_share_${least}`, `queries with ${measure}@${k} ≥ ${least}`, 1, { usual: false })),
    ...(measure === "knn_recall" ? ["01"] : ["05", "01"]).map((percent) => metricColumn(`${measure}_at_${k}_p${percent}`, `p${percent} of ${measure}@${k}`, 1, { usual: false })),
  ]);
}

/** All columns that the current set can fill: settings that vary first, then measures, then costs. */
function allColumns(shown) {
  const { varying, same } = settingsOf(shown);
  const setting = (name) => column(name, name, (point) => point.settings[name] ?? null, { digits: 0 });
  const cutoff = [1, 10, chosen.k, shown[0].k];
  const others = measures.flatMap((measure) => [...new Set(cutoff)].sort((a, b) => a - b).map((k) => [measure, k]));
  const companion = ["hit_rate", "knn_recall"].find((measure) => report.measures[measure] && report.measures[measure].scope !== scope());
  const places = new Map(currentSet().points.map((number, place) => [number, place]));
  const differing = currentSet().differing.map(({ title, cells }) => column(title, title, (point) => cells[places.get(point.number)] || null, { text: true }));
  const all = [
    column("point", "operating point", (point) => point.label, { text: true }),
    ...varying.map(setting),
    ...differing,
    column("family", "family", (point) => point.family, { text: true }),
    column("model", "model", (point) => point.model, { text: true }),
    measureColumn(chosen.measure, chosen.k, true, true),
    ...others.filter(([measure, k]) => measure !== chosen.measure || k !== chosen.k).map(([measure, k]) => measureColumn(measure, k, measure === companion && k === cutoffs()[0])),
    metricColumn(`knn_recall_at_${shown[0].k}_p05`, `p05 of knn_recall@${shown[0].k}`, 1),
    ...robustness(shown[0].k),
    metricColumn("latency_single_p50_ms", "p50 ms", -1),
    metricColumn("latency_single_p95_ms", "p95 ms", -1),
    metricColumn("latency_single_p99_ms", "p99 ms", -1, { usual: false }),
    metricColumn("encode_p50_ms", "encode p50 ms", -1, { usual: false }),
    metricColumn("encode_p95_ms", "encode p95 ms", -1, { usual: false }),
    metricColumn("end_to_end_p50_ms", "end-to-end p50 ms", -1, { usual: false }),
    metricColumn("end_to_end_p95_ms", "end-to-end p95 ms", -1),
    metricColumn("qps_batch", "batch QPS", 1, { digits: 0 }),
    metricColumn("qps_single", "single QPS", 1, { digits: 0, usual: false }),
    metricColumn("qps_saturated", "saturated QPS", 1, { digits: 0 }),
    metricColumn("build_seconds", "build s", -1, { digits: 2 }),
    metricColumn("train_seconds", "train s", -1, { digits: 2, usual: false }),
    metricColumn("add_seconds", "add s", -1, { digits: 2, usual: false }),
    metricColumn("load_seconds", "load s", -1, { digits: 3, usual: false }),
    metricColumn("index_bytes", "index MB", -1, { scale: 1e-6, digits: 1 }),
    metricColumn("serving_memory_bytes", "serving MB", -1, { scale: 1e-6, digits: 1 }),
    ...same.map(setting),
    column("gallery", "gallery", (point) => point.gallery, { digits: 0 }),
    column("dataset", "dataset", (point) => point.dataset, { text: true }),
    column("k", "k", (point) => point.k, { digits: 0 }),
    column("started", "started", (point) => runs[point.run].started.slice(0, 16).replace("T", " "), { text: true, usual: false }),
    column("run", "run", (point) => runs[point.run].name, { text: true, usual: false }),
    column("mlflow", "MLflow run", (point) => point.mlflow, { text: true, usual: false }),
  ];
  for (const { id, values } of report.columns) {
    const [, measure, k] = id.match(/^(.+)@(\d+)$/) ?? [];
    const add = measure in report.measures ? measureColumn(measure, Number(k), true) : column(id, id.replaceAll("_", " "), (point) => values[point.number]);
    if (!all.some((each) => each.id === id)) all.push(add);
  }
  return all.filter((each) => shown.some((point) => each.value(point) !== null && each.value(point) !== undefined));
}

/** A column that says the same of every point is folded into a line under the table. */
function isSame(each, shown) {
  const said = shown.map(each.value).filter((value) => value !== null && value !== undefined);
  return shown.length > 1 && new Set(said.map(String)).size === 1;
}

/** The place of a column among those that were asked for; the point comes first, what was not asked for nowhere. */
function placeOf(each) {
  const place = report.columns.findIndex((column) => column.id === each.id);
  return each.id === "point" ? 0 : place < 0 ? NOWHERE : place + 1;
}

const NOWHERE = 1e6;

function isShown(each, shown) {
  if (report.columns.length) return table.shown.get(each.id) ?? placeOf(each) < NOWHERE;
  return table.shown.get(each.id) ?? (each.usual && (each.id === "point" || !isSame(each, shown)) && each.id !== "family");
}

// --- filtering ---------------------------------------------------------------------------------------------

const COMPARE = {
  "=": (a, b) => String(a) === b || Number(a) === Number(b),
  "<": (a, b) => Number(a) < Number(b), ">": (a, b) => Number(a) > Number(b),
  "<=": (a, b) => Number(a) <= Number(b), ">=": (a, b) => Number(a) >= Number(b),
};

/** Whether a point meets every word: `hnsw` is in its name, `nprobe>=8` and `p95<1` hold. */
function meets(point, words, known) {
  return words.every((word) => {
    const [, name, sign, wanted] = word.match(/^([^<>=]+)(<=|>=|=|<|>)(.+)$/) ?? [];
    const asked = name && known.find((each) => each.id.toLowerCase() === name) ;
    const like = asked ?? (name && known.find((each) => each.title.toLowerCase().startsWith(name)));
    if (!like) return `${point.label} ${point.model} ${point.dataset} ${runs[point.run].name}`.toLowerCase().includes(word);
    const value = like.value(point);
    return value !== null && value !== undefined && COMPARE[sign](value, wanted);
  });
}

/** The current set's points that the filter leaves. */
function filteredPoints() {
  const shown = currentPoints();
  const words = table.words.toLowerCase().split(/\s+/).filter(Boolean);
  const known = allColumns(shown);
  return shown.filter((point) => meets(point, words, known));
}

// --- sorting and marking -----------------------------------------------------------------------------------

function sorted(shown, columns) {
  const by = columns.find((each) => each.id === table.sort);
  if (!by) {
    const front = latencyFront().map((point) => point.number);
    const rank = (point) => (front.includes(point.number) ? front.indexOf(point.number) : 1e6 + (point.metrics.latency_single_p50_ms ?? 1e6));
    return [...shown].sort((a, b) => rank(a) - rank(b));
  }
  const sign = table.descending ? -1 : 1;
  const missing = (value) => value === null || value === undefined;
  return [...shown].sort((a, b) => {
    const [x, y] = [by.value(a), by.value(b)];
    if (missing(x) || missing(y)) return missing(x) - missing(y); // what was not measured comes last either way
    return sign * (typeof x === "string" || typeof y === "string" ? String(x).localeCompare(String(y), "en", { numeric: true }) : x - y);
  });
}

/** Marks by point number: the best of a column, and those within the best one's interval. */
function marksOf(each, shown) {
  const measured = shown.filter((point) => each.good && each.value(point) !== null);
  if (measured.length < 2) return new Map();
  const ordered = [...measured].sort((a, b) => each.good * (each.value(b) - each.value(a)));
  const scale = each.scale ?? 1;
  const best = each.value(ordered[0]);
  if (best === each.value(ordered[ordered.length - 1])) return new Map();
  const holds = (point, value) => {
    const range = each.range(point);
    return range !== null && range[0] * scale <= value && value <= range[1] * scale;
  };
  const marks = new Map();
  for (const point of ordered) {
    const value = each.value(point);
    if (value === best) marks.set(point.number, "best");
    else if (holds(ordered[0], value) || holds(point, best)) marks.set(point.number, "equal");
  }
  return marks;
}

// --- drawing -----------------------------------------------------------------------------------------------

const MARKS = { best: "★", equal: "≈" };
const CLASSES = { "★": "best", "≈": "equal" };

/** Beside a point's name: • on the front, ≈ there too and equal to one above, ! in doubt and left out of it. */
function standingOf(all, tiers) {
  const standing = new Map();
  if (all.length < 2) return standing;
  if (all.some((point) => !point.in_doubt)) for (const point of all) if (point.in_doubt) standing.set(point.number, "!");
  for (const tier of tiers) tier.forEach((number, place) => standing.set(number, place ? "≈" : "•"));
  return standing;
}

function cell(each, point, mark) {
  const value = each.value(point);
  const text = each.text || typeof value === "string" ? String(value ?? "") : each.showRange || each.id.includes("@") ? share(value) : number(value, each.digits);
  const range = each.showRange ? each.range(point) : null;
  const ends = each.range(point);
  const interval = ends && (each.id.includes("@") ? between(...ends) : ends.map((end) => number(end * (each.scale ?? 1))).join(" – "));
  const title = [each.note(point), interval].filter(Boolean).join("; ");
  return el(
    "td", { className: [each.text ? "text" : "", (each.id !== "point" && CLASSES[mark]) || ""].join(" ").trim(), title },
    mark ? el("b", { className: "mark" }, mark) : null, text,
    range ? el("span", { className: "range" }, between(...range)) : null,
  );
}

function heading(each) {
  const current = table.sort === each.id;
  const click = () => {
    // The first click brings the best to the top.
    table.descending = current ? !table.descending : each.good > 0;
    table.sort = each.id;
    drawTable();
  };
  const arrow = current ? (table.descending ? " ▾" : " ▴") : "";
  const sort = current ? (table.descending ? "descending" : "ascending") : "none";
  return el("th", { className: each.text ? "text" : "", "aria-sort": sort, scope: "col" }, el("button", { type: "button", onclick: click }, each.title + arrow));
}

function drawTable() {
  const all = currentPoints();
  const columns = allColumns(all);
  const visible = columns.filter((each) => isShown(each, all));
  if (report.columns.length) visible.sort((a, b) => placeOf(a) - placeOf(b));
  const kept = sorted(filteredPoints(), columns);
  const tiers = latencyTiers();
  const standing = standingOf(all, tiers);
  const advised = new Set(report.advice.map((advice) => advice.point));
  const marks = new Map(visible.map((each) => [each.id, marksOf(each, all)]));
  fill(find("#table thead"), el("tr", {}, ...visible.map(heading)));
  const rows = kept.map((point) =>
    el(
      "tr", { className: [tiers.flat().includes(point.number) ? "front" : "", advised.has(point.number) ? "chosen" : ""].join(" ").trim() },
      ...visible.map((each) => cell(each, point, each.id === "point" ? standing.get(point.number) : MARKS[marks.get(each.id).get(point.number)])),
    ),
  );
  fill(find("#table tbody"), ...rows);
  find("#counted").textContent = kept.length === all.length ? `${all.length} points` : `${kept.length} of ${all.length} points`;
  const folded = columns.filter((each) => isSame(each, all) && !table.shown.get(each.id) && each.usual && each.id !== "family");
  const same = folded.map((each) => {
    const value = all.map(each.value).find((known) => known !== null && known !== undefined);
    return `${each.title} = ${typeof value === "number" ? number(value, each.digits) : value}`;
  });
  find("#folded").textContent = same.length ? `The same for all that have it: ${same.join(" · ")}` : "";
  fill(find("#terms"), ...currentSet().caption.map((line) => el("div", { className: line.startsWith("warning: ") ? "warning" : "" }, line)));
  drawChooser(columns, all);
}

function drawChooser(columns, all) {
  const boxes = columns.slice(1).map((each) => {
    const change = (event) => {
      table.shown.set(each.id, event.target.checked);
      drawTable();
    };
    return el("label", {}, el("input", { type: "checkbox", checked: isShown(each, all), onchange: change }), ` ${each.title}`);
  });
  fill(find("#columns > div"), ...boxes);
}

if (points.length) {
  find("#filter").addEventListener("input", (event) => {
    table.words = event.target.value;
    drawTable();
    if (chosen.drawn === "table") choose({});
  });
  drawn(drawTable);
}
