// Why recall is lost: what is known of the queries, of the points that matter, and recall from easy to hard queries.

const QUANTITIES = {
  lid: "local intrinsic dimension (low is easy)",
  relative_contrast: "relative contrast (high is easy)",
};

/** One line a point: the mean of each quarter of the queries, the easiest on the left. */
function byDifficulty(quantity, drawnPoints) {
  return drawnPoints.flatMap(({ point, name, colour, dash }) => {
    const quarters = point.difficulty[quantity];
    if (!quarters) return [];
    const known = quarters.every((quarter) => "mean_low" in quarter);
    const text = quarters.map((quarter) =>
      `${plain(name)}<br>knn_recall@${point.k}: ${share(quarter.mean)}` + (known ? ` (${between(quarter.mean_low, quarter.mean_high)})` : "") +
      `<br>${number(quarter.queries, 0)} queries of ${number(quarter.low, 2)}–${number(quarter.high, 2)}`);
    const bars = known
      ? { error_y: { type: "data", symmetric: false, array: quarters.map((each) => each.mean_high - each.mean), arrayminus: quarters.map((each) => each.mean - each.mean_low), thickness: 1, width: 3 } }
      : {};
    return [{ x: ["easiest", "second", "third", "hardest"], y: quarters.map((quarter) => quarter.mean), ...bars, mode: "lines+markers", text, hovertemplate: "%{text}<extra></extra>", line: { color: colour, width: 2, dash }, marker: { size: 6 } }];
  });
}

if (points.length) {
  const told = el("div");
  const cards = Object.entries(QUANTITIES).map(([quantity, title]) => ({ quantity, title: el("h3", {}, title), chart: el("div", { className: "chart" }) }));
  const grid = el("div", { className: "grid" }, ...cards.map((card) => el("div", { className: "card" }, card.title, card.chart)));
  const basis = el("p", { className: "quiet" }, "Drawn: the points of the charts above, their knn_recall in quarters of the queries. Bars: confidence intervals.");
  find("#why").append(told, basis, grid);
  drawn(() => {
    const here = currentSet().points;
    const known = report.difficulty.filter((each) => each.among.some((number) => here.includes(number)));
    const queries = known.flatMap((each) => each.queries);
    const chosenPoints = known.flatMap((each) => each.points).filter((each) => here.includes(each.point));
    fill(
      told,
      ...(queries.length ? [el("ul", {}, ...queries.map((line) => el("li", {}, line)))] : [el("p", { className: "quiet" }, "These records do not say how hard their queries are.")]),
      ...chosenPoints.map((each) => el("div", {}, el("b", {}, points[each.point].label), el("ul", {}, ...each.lines.map((line) => el("li", {}, line))))),
      chosenPoints.length ? null : el("p", { className: "quiet" }, "No point that is recommended or on the front loses recall worth explaining."),
    );
    const shown = pointsDrawn();
    const traces = cards.map((card) => byDifficulty(card.quantity, shown));
    basis.hidden = grid.hidden = traces.every((each) => !each.length);
    cards.forEach((card, place) => {
      if (!grid.hidden) Plotly.react(card.chart, traces[place], layout({ xaxis: { type: "category", title: { text: "quarters of the queries" } }, yaxis: { title: { text: "knn_recall" }, tickformat: ".3~f" } }), CONFIG);
    });
  });
}
