// Results by class of chosen points: the classes that fare worst, and which are taken for which.

{
  const { pages, left_out: leftOut } = report.classes;
  const part = find("#classes");
  if (pages.length) {
    part.hidden = false;
    const page = el("select", { id: "class-point", "aria-label": "operating point" });
    options(page, pages.map((_, place) => place), 0, (place) => points[pages[place].point].label);
    const said = el("p", { className: "quiet" });
    const worst = el("div", { className: "scroll" });
    const pairs = el("div", { className: "scroll" });
    const heading = (heads) => el("thead", {}, el("tr", {}, ...heads.map(([name, css]) => el("th", { className: css, scope: "col" }, name))));
    const row = (cells) => el("tr", {}, ...cells.map(([value, css]) => el("td", { className: css }, value)));
    const taken = (others) => others.map((each) => `${each.other} (${number(each.queries, 0)})`).join(", ");

    const draw = () => {
      const { classes, not_right_first: missed, worst: lines, confusions, table, confusions_table: pairsTable } = pages[Number(page.value)];
      const means = [...new Set(lines.flatMap((line) => Object.keys(line.means)))];
      const files = [table, pairsTable].filter(Boolean).join(" and ");
      said.textContent = `The first result is not right for ${number(missed, 0)} queries. Shown: the ${lines.length} of ${number(classes, 0)} classes with the lowest hit_rate@1, and the most frequent confusions${files ? `; all of them are in ${files} beside the record` : ""}.`;
      fill(
        worst,
        el(
          "table", {},
          heading([["class", "text"], ["queries", ""], ["images", ""], ["hit_rate@1", ""], ["first results of other classes", "text"], ...means.map((name) => [name, ""])]),
          el("tbody", {}, ...lines.map((line) => row([[line.name, "text"], [number(line.queries, 0), ""], [number(line.gallery, 0), ""], [share(line.hit_rate_at_1), ""], [taken(line.confused_with), "text wide"], ...means.map((name) => [share(line.means[name]), ""])]))),
        ),
      );
      fill(
        pairs,
        el(
          "table", {},
          heading([["query’s class", "text"], ["class of the first result", "text"], ["queries", ""]]),
          el("tbody", {}, ...confusions.map((pair) => row([[pair.name, "text"], [pair.other, "text"], [number(pair.queries, 0), ""]]))),
        ),
      );
      pairs.hidden = confusions.length === 0;
    };
    page.addEventListener("change", draw);
    part.append(
      el("div", { className: "tools" }, el("label", {}, "point ", page), leftOut ? el("span", { className: "quiet" }, `${leftOut} more points are left out`) : null),
      said, el("div", { className: "grid classes" }, worst, pairs),
    );
    draw();
  }
}
