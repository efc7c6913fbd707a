// The queries on which chosen points lost most: what was asked, the exact answer, the index's answer.

const LOSSES_AT_ONCE = 12;

function picture(shown, name) {
  if (shown.image) return el("img", { src: report.losses.images[shown.image], alt: name, title: name });
  return shown.text !== undefined ? el("q", {}, shown.text) : el("em", {}, name);
}

function tile(shown) {
  if (!shown.id) return el("span", { className: "tile none", title: "nothing returned" }, "–");
  const marks = ["tile", shown.lost ? "lost" : "", shown.right ? "right" : ""].join(" ").trim();
  return el("span", { className: marks, title: shown.id }, picture(shown, shown.id));
}

function lostQuery(query) {
  const told = [query.edit && `edit: ${query.edit}`, query.label && `label: ${query.label}`].filter(Boolean).join(", ");
  const side = (title, tiles) => [el("p", { className: "quiet" }, title), el("div", { className: "strip" }, ...tiles.map(tile))];
  return el(
    "article", {},
    el("figure", {}, el("span", { className: "tile" }, picture(query.query, query.name)), el("figcaption", {}, el("b", {}, share(query.recall)), " of the exact answer", el("br"), query.name, told ? el("br") : null, told)),
    el("div", {}, ...side("exact", query.exact), ...side("returned", query.found)),
  );
}

{
  const { pages, notes } = report.losses;
  const part = find("#losses");
  for (const note of notes) part.append(el("p", { className: "quiet" }, note));
  if (!pages.length && !notes.length) part.append(el("p", { className: "quiet" }, "No point that was looked at loses anything worth showing."));
  if (pages.length) {
    const state = { page: 0, edit: "", label: "", most: LOSSES_AT_ONCE };
    const caption = el("p", { className: "quiet" });
    const list = el("div");
    const more = el("button", { type: "button", onclick: () => { state.most += LOSSES_AT_ONCE; draw(); } }, "show more");
    const selects = { edit: el("select", { id: "lost-edit" }), label: el("select", { id: "lost-label" }) };
    const page = el("select", { id: "lost-point" });
    options(page, pages.map((_, place) => place), 0, (place) => points[pages[place].point].label);
    page.addEventListener("change", () => { Object.assign(state, { page: Number(page.value), edit: "", label: "", most: LOSSES_AT_ONCE }); fillFilters(); draw(); });
    for (const [name, select] of Object.entries(selects)) select.addEventListener("change", () => { Object.assign(state, { [name]: select.value, most: LOSSES_AT_ONCE }); draw(); });

    const fillFilters = () => {
      for (const [name, select] of Object.entries(selects)) {
        const values = [...new Set(pages[state.page].queries.map((query) => query[name]).filter(Boolean))].sort();
        select.parentElement.hidden = values.length < 2;
        options(select, ["", ...values], "", (value) => value || "all");
      }
    };
    const draw = () => {
      const { queries, left_out: leftOut, recall, asked, lossless } = pages[state.page];
      const kept = queries.filter((query) => ["edit", "label"].every((name) => !state[name] || query[name] === state[name]));
      const point = points[pages[state.page].point];
      caption.textContent = `knn_recall@${point.k} is ${share(recall)} over ${number(asked, 0)} queries; ${number(lossless, 0)} of them lost nothing. The ${queries.length} worst${queries.some((query) => query.edit) ? ", with the worst of each edit" : ""}${leftOut ? ` (${leftOut} more did not fit)` : ""}:`;
      fill(list, ...kept.slice(0, state.most).map(lostQuery));
      more.hidden = kept.length <= state.most;
    };
    part.append(
      el("div", { className: "tools" }, el("label", {}, "point ", page), el("label", {}, "edit ", selects.edit), el("label", {}, "label ", selects.label)),
      caption,
      el("p", { className: "quiet" }, el("span", { className: "warning" }, "Outlined"), " among the exact: a neighbour that the index did not return; among the returned: no exact neighbour. Underlined in green: a right answer of the query protocol. The first 10 are shown."),
      list, more,
    );
    fillFilters();
    draw();
  }
}
