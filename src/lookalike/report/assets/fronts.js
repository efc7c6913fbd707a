// Recall against what it costs: latency, throughput, memory, building.

const COSTS = [
  {
    title: "Recall and latency", less: true, scale: 1,
    metrics: {
      latency_single_p50_ms: "single query, p50 (ms)",
      latency_single_p95_ms: "single query, p95 (ms)",
      latency_single_p99_ms: "single query, p99 (ms)",
      end_to_end_p50_ms: "encoding and single query, p50 (ms)",
      end_to_end_p95_ms: "encoding and single query, p95 (ms)",
    },
    apart: () => "",
  },
  {
    title: "Recall and throughput", less: false, scale: 1,
    metrics: { qps_batch: "queries a second, in batches", qps_saturated: "queries a second, every core busy", qps_single: "queries a second, one at a time" },
    apart: (point) => point.batch,
  },
  {
    title: "Recall and memory", less: true, scale: 1e-6, timed: false,
    metrics: { serving_memory_bytes: "memory to serve (MB)", index_bytes: "index file (MB)" },
    apart: () => "",
  },
  {
    title: "Recall and building", less: true, scale: 1, timed: false,
    metrics: { build_seconds: "train and add (s)", train_seconds: "train (s)", add_seconds: "add (s)" },
    apart: (point) => point.build,
  },
];

/** Plotly reads some markup in texts; names must stay what they are. */
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

/** Named buttons only: plotly's usual ones include one that uploads the chart to its makers' cloud. */
const CONFIG = {
  displaylogo: false, responsive: true, plotlyServerURL: "",
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
};

function layout(more = {}) {
  const line = themeColour("line");
  const axis = { gridcolor: line, linecolor: line, zeroline: false, automargin: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, 'DejaVu Sans', sans-serif", size: 12, color: themeColour("text") },
    margin: { l: 55, r: 15, t: 10, b: 45 }, showlegend: false, hovermode: "closest",
    hoverlabel: { bgcolor: themeColour("page"), bordercolor: line, font: { color: themeColour("text") }, align: "left" },
    ...more,
    xaxis: { ...axis, ...more.xaxis }, yaxis: { ...axis, ...more.yaxis },
  };
}

/** What hovering over a point tells: its settings, then what it gives and takes. */
function hover(point) {
  const value = valueOf(point);
  const { metrics } = point;
  const megabytes = metrics.serving_memory_bytes ?? metrics.index_bytes;
  const lines = [
    `<b>${plain(point.label)}</b>`,
    `${plain(point.model)} · ${plain(point.dataset)} (${number(point.gallery, 0)} images) · k = ${point.k}`,
    value && `${measureName()}: ${share(value.mean)}` + (value.low === null ? "" : ` (${between(value.low, value.high)})`) + (value.missed ? `, ${value.missed}` : ""),
    metrics.latency_single_p50_ms !== undefined && `p50 ${number(metrics.latency_single_p50_ms)} ms, p95 ${number(metrics.latency_single_p95_ms)} ms${sampled(point)}`,
    metrics.end_to_end_p50_ms !== undefined && `with encoding p50 ${number(metrics.end_to_end_p50_ms)} ms`,
    metrics.qps_batch !== undefined && `${number(metrics.qps_batch, 0)} queries a second in batches`,
    megabytes !== undefined && `${number(megabytes / 1e6, 1)} MB, built in ${number(metrics.build_seconds, 2)} s`,
    point.in_doubt && (point.doubts[0] ? plain(point.doubts[0]) : "timing in doubt: see how it was measured"),
  ];
  return lines.filter(Boolean).join("<br>");
}

/** The y axis: recall as it is, or the share that is missing on a log scale (where 1 has to end somewhere). */
function recallAxis(items) {
  const title = { text: plain(measureName()), standoff: 8 };
  if (!chosen.logRecall) return { axis: { title, tickformat: ".3~f", autorangeoptions: { clipmax: 1.05 } }, place: (value) => value };
  const missing = items.map((item) => 1 - item.value).filter((rest) => rest > 1e-9);
  const floor = Math.min(...missing, 0.1) / 2;
  const ticks = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001].filter((rest) => rest > floor * 1.3);
  const axis = {
    title, type: "log", autorange: "reversed",
    tickvals: [...ticks, floor], ticktext: [...ticks.map((rest) => String(Number((1 - rest).toFixed(6)))), "1"],
  };
  return { axis, place: (value) => Math.max(1 - value, floor) };
}

/** Ticks of a log axis: at 1, 2 and 5 of each power of ten, or closer where no such number may lie between the values. */
const ticksOf = (values) => {
  const spread = Math.max(...values) / Math.min(...values);
  return spread > 1 && spread < 5 ? { nticks: 6 } : { dtick: "D2" };
};

/** One chart: its heading with the choice of cost, the drawing, and what was set apart. */
class FrontChart {
  constructor(cost) {
    this.cost = cost;
    this.metric = el("select", { "aria-label": "cost", onchange: () => this.draw() });
    this.terms = el("select", { "aria-label": "terms", onchange: () => this.draw() });
    this.chart = el("div", { className: "chart" });
    this.note = el("p", { className: "quiet" });
    this.card = el("div", { className: "card" }, el("div", { className: "head" }, el("h3", {}, cost.title), this.metric, this.terms), this.chart, this.note);
  }

  draw() {
    const all = currentPoints().filter((point) => valueOf(point));
    const known = Object.keys(this.cost.metrics).filter((metric) => all.some((point) => metric in point.metrics));
    const metric = known.includes(this.metric.value) ? this.metric.value : known[0];
    options(this.metric, known, metric, (name) => this.cost.metrics[name]);
    const measured = all.filter((point) => metric in point.metrics);
    const shown = measured.filter((point) => !chosen.hidden.has(point.family));
    const { kept, note } = this.onEqualTerms(shown);
    const items = kept
      .map((point) => itemOf(point, metric, this.cost))
      .filter((item) => !chosen.logCost || item.cost > 0);
    const atZero = kept.length - items.length;
    this.note.textContent = [note, atZero ? `${atZero} of cost 0 cannot stand on a log axis` : ""].filter(Boolean).join("; ");
    this.show(items, metric);
  }

  /** Batches of other sizes and builds on other machines: only the points on one set of terms are drawn. */
  onEqualTerms(shown) {
    const terms = new Map();
    for (const point of shown) terms.set(this.cost.apart(point), [...(terms.get(this.cost.apart(point)) ?? []), point]);
    const largest = [...terms.keys()].sort((a, b) => terms.get(b).length - terms.get(a).length);
    const current = terms.has(this.terms.value) ? this.terms.value : largest[0];
    this.terms.hidden = terms.size < 2;
    options(this.terms, largest, current);
    const kept = terms.get(current) ?? [];
    const rest = shown.length - kept.length;
    return { kept, note: [current, rest ? `set apart: ${rest} measured on other terms` : ""].filter(Boolean).join("; ") };
  }

  show(items, metric) {
    if (!items.length) {
      Plotly.purge(this.chart);
      fill(this.chart, el("div", { className: "empty" }, "not measured"));
      return;
    }
    if (this.chart.querySelector(".empty")) fill(this.chart);
    const front = new Set(frontOf(items, this.cost.less).map((item) => item.point.number));
    const noneIsSure = items.every((item) => item.doubt);
    const hollow = new Set(items.filter((item) => item.doubt && !noneIsSure).map((item) => item.point.number));
    const { axis, place } = recallAxis(items);
    const traces = [...new Set(items.map((item) => item.point.family))].flatMap((family) =>
      this.familyTraces(family, items.filter((item) => item.point.family === family), { front, hollow }, place),
    );
    const xaxis = {
      title: { text: `${this.cost.metrics[metric]}${chosen.logCost ? ", log scale" : ""}`, standoff: 8 },
      type: chosen.logCost ? "log" : "linear", ...(chosen.logCost ? { ...ticksOf(items.flatMap((item) => item.costs)), exponentformat: "none", tickformat: ",~r" } : { rangemode: "tozero" }),
    };
    Plotly.react(this.chart, traces, layout({ xaxis, yaxis: axis }), CONFIG);
  }

  familyTraces(family, items, { front, hollow }, place) {
    const colour = colourOf(family);
    const line = stepsOf(items.filter((item) => !hollow.has(item.point.number)), this.cost.less);
    const at = (some) => ({ x: some.map((item) => item.cost), y: some.map((item) => place(item.value)) });
    const told = (some) => ({ mode: "markers", name: plain(family), text: some.map((item) => hover(item.point)), hovertemplate: "%{text}<extra></extra>" });
    const best = items.filter((item) => front.has(item.point.number));
    const beaten = items.filter((item) => !front.has(item.point.number));
    const opacity = (item) => (hollow.has(item.point.number) ? 0.7 : 0.35);
    const symbol = (item) => (hollow.has(item.point.number) ? "circle-open" : "circle");
    const reach = (item, end) => Math.abs(item.costs[end] - item.cost);
    const bar = (item, end) => (item.interval.low === null ? 0 : Math.abs(place(item.interval[end]) - place(item.value)));
    const [up, down] = chosen.logRecall ? ["low", "high"] : ["high", "low"];
    return [
      { ...at(line), mode: "lines", line: { color: colour, width: 1.5 }, opacity: 0.6, hoverinfo: "skip" },
      { ...at(beaten), ...told(beaten), marker: { color: colour, size: 8, opacity: beaten.map(opacity), symbol: beaten.map(symbol) } },
      {
        ...at(best), ...told(best), marker: { color: colour, size: 10, line: { width: 1.5, color: themeColour("text") } },
        error_y: {
          type: "data", symmetric: false, color: colour, thickness: 1, width: 3,
          array: best.map((item) => bar(item, up)), arrayminus: best.map((item) => bar(item, down)),
        },
        error_x: {
          type: "data", symmetric: false, color: colour, thickness: 1, width: 3,
          array: best.map((item) => reach(item, 1)), arrayminus: best.map((item) => reach(item, 0)),
        },
      },
    ];
  }
}

if (points.length) {
  const charts = COSTS.map((cost) => new FrontChart(cost));
  find("#fronts .grid").append(...charts.map((chart) => chart.card));
  drawn(() => {
    const families = [...new Set(currentPoints().map((point) => point.family))];
    const chips = families.map((family) =>
      el(
        "button",
        {
          type: "button", className: chosen.hidden.has(family) ? "off" : "", title: "show or hide",
          onclick: () => {
            const hidden = new Set(chosen.hidden);
            if (!hidden.delete(family)) hidden.add(family);
            choose({ hidden });
          },
        },
        el("span", { className: "swatch", style: `background: ${colourOf(family)}` }), family,
      ),
    );
    fill(find("#families"), ...chips);
    for (const chart of charts) chart.draw();
  });
}
