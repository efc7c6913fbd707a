// Recall over K, per edit, and how long searches took: of the points on the front, or as the table is filtered.

const MOST_DRAWN = 12;

/** The points to draw, each with a shade of its family's colour and a dash of its own. */
function pointsDrawn() {
  const wanted = chosen.drawn === "front" ? latencyFront() : filteredPoints();
  const visible = wanted.filter((point) => !chosen.hidden.has(point.family));
  const step = visible.length > MOST_DRAWN ? visible.length / MOST_DRAWN : 1;
  const kept = visible.filter((_, place) => Math.floor(place / step) !== Math.floor((place - 1) / step));
  const left = visible.length - kept.length;
  find("#drawn-note").textContent = left ? `${kept.length} of ${visible.length}, evenly chosen; filter the table for others` : "";
  const families = Map.groupBy ? Map.groupBy(kept, (point) => point.family) : grouping(kept);
  return kept.map((point) => {
    const relatives = families.get(point.family);
    const place = relatives.indexOf(point);
    const shade = relatives.length > 1 ? 0.4 * (place / (relatives.length - 1)) : 0;
    return { point, name: shortName(point), colour: colourOf(point.family, shade), dash: ["solid", "dash", "dot"][place % 3] };
  });
}

function grouping(shown) {
  const groups = new Map();
  for (const point of shown) groups.set(point.family, [...(groups.get(point.family) ?? []), point]);
  return groups;
}

const translucent = (colour) => colour.replace("rgb(", "rgba(").replace(")", ",0.13)");
const costAxis = () => ({
  title: { text: `ms${chosen.logCost ? ", log scale" : ""}` }, type: chosen.logCost ? "log" : "linear",
  ...(chosen.logCost ? { dtick: "D2", exponentformat: "none", tickformat: ",~r" } : {}),
});

/** One legend for all charts below it; the dash as well as the colour tells the points apart. */
function drawLegend(drawnPoints) {
  const dashes = { solid: "solid", dash: "dashed", dot: "dotted" };
  const keys = drawnPoints.map(({ name, colour, dash }) => el("span", { className: "key" }, el("i", { style: `border-top: 3px ${dashes[dash]} ${colour}` }), name));
  fill(find("#drawn-legend"), ...keys);
}

function overCutoffs(drawnPoints) {
  return drawnPoints.flatMap(({ point, name, colour, dash }) => {
    const curve = point.curves[chosen.measure];
    if (!curve) return [];
    const legendgroup = String(point.number);
    const band = curve.low
      ? [{
          x: [...curve.k, ...[...curve.k].reverse()], y: [...curve.high, ...[...curve.low].reverse()], mode: "lines", line: { width: 0 },
          fill: "toself", fillcolor: translucent(colour), hoverinfo: "skip", showlegend: false, legendgroup,
        }]
      : [];
    const text = curve.k.map((k, place) => `${plain(name)}<br>${chosen.measure}@${k}: ${share(curve.mean[place])}` + (curve.low ? ` (${between(curve.low[place], curve.high[place])})` : "") + (curve.missed?.[place] ? `<br>${curve.missed[place]}` : ""));
    return [...band, { x: curve.k, y: curve.mean, mode: "lines+markers", name: plain(name), text, hovertemplate: "%{text}<extra></extra>", line: { color: colour, width: 2, dash }, marker: { size: 5 }, legendgroup }];
  });
}

function perEdit(drawnPoints) {
  return drawnPoints.flatMap(({ point, name, colour }) => {
    const place = point.curves[chosen.measure]?.k.indexOf(chosen.k) ?? -1;
    const edits = Object.keys(point.edits).filter((edit) => point.edits[edit][chosen.measure]?.[place] !== undefined);
    if (!edits.length) return [];
    const values = edits.map((edit) => point.edits[edit][chosen.measure][place] / report.edit_scale);
    const text = edits.map((edit, at) => `${plain(name)}<br>${plain(edit)}: ${share(values[at])}`);
    return [{ x: values, y: edits.map(plain), mode: "markers", name: plain(name), text, hovertemplate: "%{text}<extra></extra>", marker: { color: colour, size: 10, opacity: 0.85 } }];
  });
}

function distributions(drawnPoints) {
  return drawnPoints.flatMap(({ point, name, colour, dash }) => {
    const quantiles = point.ecdf.single;
    if (!quantiles) return [];
    const shares = report.probabilities.slice(0, quantiles.length);
    const text = quantiles.map((ms, place) => `${plain(name)}<br>${(100 * shares[place]).toFixed(1)} % of the searches within ${number(ms)} ms`);
    return [{ x: quantiles, y: shares.map((part) => 100 * part), mode: "lines", name: plain(name), text, hovertemplate: "%{text}<extra></extra>", line: { color: colour, width: 2, dash, shape: "hv" } }];
  });
}

const PERCENTILES = { p50: "circle", p95: "diamond", p99: "triangle-right" };

function percentiles(drawnPoints) {
  const slowestFirst = [...drawnPoints].reverse();
  return slowestFirst.flatMap(({ point, name, colour }) => {
    const known = Object.keys(PERCENTILES).filter((p) => `latency_single_${p}_ms` in point.metrics);
    if (!known.length) return [];
    const values = known.map((p) => point.metrics[`latency_single_${p}_ms`]);
    const text = known.map((p, place) => `${plain(name)}<br>${p}: ${number(values[place])} ms${within(point, p)}${sampled(point)}`);
    return [{
      x: values, y: known.map(() => plain(name)), mode: "lines+markers", text, hovertemplate: "%{text}<extra></extra>",
      line: { color: colour, width: 2 }, marker: { color: colour, size: 9, symbol: known.map((p) => PERCENTILES[p]) },
    }];
  });
}

function within(point, p) {
  const ends = point.intervals[`latency_single_${p}_ms`];
  return ends ? ` (${number(ends[0])}–${number(ends[1])})` : "";
}

const CHARTS = [
  { title: () => `${chosen.measure} over K, with confidence bands`, traces: overCutoffs, layout: () => ({ xaxis: { title: { text: "K" } }, yaxis: { title: { text: chosen.measure }, tickformat: ".3~f" } }), empty: "there is no curve of this measure" },
  { title: () => `${measureName()} per edit`, traces: perEdit, layout: () => ({ xaxis: { title: { text: plain(measureName()) } }, yaxis: { type: "category" } }), empty: "this query protocol has no edits" },
  { title: () => "Latency of single queries: how many are within", traces: distributions, layout: () => ({ xaxis: costAxis(), yaxis: { title: { text: "% of the searches" }, range: [0, 101] } }), empty: "the raw samples of these runs are not here" },
  { title: () => "Latency of single queries: ● p50, ◆ p95, ▶ p99", traces: percentiles, layout: () => ({ xaxis: costAxis(), yaxis: { type: "category", tickfont: { size: 11 } } }), empty: "single queries were not timed" },
];

if (points.length) {
  find("#drawn").addEventListener("change", (event) => choose({ drawn: event.target.value }));
  const cards = CHARTS.map(() => ({ title: el("h3"), chart: el("div", { className: "chart tall" }) }));
  find("#curves .grid").append(...cards.map((card) => el("div", { className: "card" }, card.title, card.chart)));
  drawn(() => {
    const shown = pointsDrawn();
    drawLegend(shown);
    CHARTS.forEach((chart, place) => {
      const { title, chart: area } = cards[place];
      title.textContent = chart.title();
      const traces = chart.traces(shown);
      if (!traces.length) {
        Plotly.purge(area);
        fill(area, el("div", { className: "empty" }, chart.empty));
        return;
      }
      if (area.querySelector(".empty")) fill(area);
      Plotly.react(area, traces, layout(chart.layout()), CONFIG);
    });
  });
}
