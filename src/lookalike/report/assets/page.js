"use strict";
// The page's content, what is chosen in it, and how elements are made: text is only ever set as text.

const report = JSON.parse(document.getElementById("data").textContent);
const { points, runs } = report;

const chosen = { measure: "", k: 0, set: 0, logCost: true, logRecall: false, drawn: "front", hidden: new Set() };
const drawers = [];

/** Draw now, and again whenever something else is chosen. */
function drawn(draw) {
  drawers.push(draw);
}

/** Change what is chosen and draw everything that shows it. */
function choose(changes) {
  Object.assign(chosen, changes);
  for (const draw of drawers) draw();
}

/** An element with properties, attributes, listeners (`onclick`) and children; strings become text nodes. */
function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const find = (selector) => document.querySelector(selector);

function fill(parent, ...children) {
  parent.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}

function options(select, values, current, name = (value) => value) {
  fill(select, ...values.map((value) => el("option", { value: String(value), selected: value === current }, String(name(value)))));
}

// --- light and dark ----------------------------------------------------------------------------------------

const darkness = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : darkness.matches;
}

find("#theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  choose({});
});
darkness.addEventListener("change", () => choose({}));

/** A family's colour, light enough to be seen on a dark page. */
function colourOf(family, shade = 0) {
  const hex = report.colours[family] || "#8a6d3b";
  let [r, g, b] = [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
  if (isDark()) {
    const dim = Math.max(r, g, b) < 40;
    [r, g, b] = [r, g, b].map((channel) => Math.round(dim ? 235 : channel + (255 - channel) * 0.35));
  }
  const towards = isDark() ? 255 : 0;
  const mixed = [r, g, b].map((channel) => Math.round(channel + (towards - channel) * shade));
  return `rgb(${mixed.join(",")})`;
}

function themeColour(name) {
  const probe = el("span", { style: `color: var(--${name})` });
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

// --- numbers -----------------------------------------------------------------------------------------------

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function number(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (value !== 0 && Math.abs(value) < 10 ** -digits) return value.toPrecision(2);
  return Math.abs(value) >= 1000 ? grouped.format(value) : value.toFixed(Math.abs(value) >= 100 ? Math.min(1, digits) : digits);
}

/** A share with three digits, with more where it would read 1 (or 0) though something was missed. */
function share(value) {
  if (value === null || value === undefined) return "";
  for (let digits = 3; digits < 9; digits++) {
    const text = value.toFixed(digits);
    if (value === 0 || value === 1 || (Number(text) !== 0 && Number(text) !== 1)) return text;
  }
  return value.toFixed(3);
}

/** An interval; where nothing (or all) was missed it is a bound on one side. */
function between(low, high) {
  if (high === 1 && low < 1) return `≥ ${share(low)}`;
  return low === 0 && high > 0 ? `≤ ${share(high)}` : `${share(low)}–${share(high)}`;
}

// --- first lines -------------------------------------------------------------------------------------------

{
  const measured = points.filter((point) => !point.shared).length; // those on shared queries are there twice
  const queries = measured === 1 ? "1 operating point" : `${measured} operating points`;
  const from = runs.length === 1 ? "1 run" : `${runs.length} runs`;
  find("#made").textContent = `${queries} of ${from} · Lookalike ${report.version} · ${report.made.slice(0, 16).replace("T", " ")} UTC`;
  const shown = report.advice.map((advice) => {
    const title = report.advice.length > 1 ? el("p", { className: "quiet" }, apartOf(advice)) : null;
    const lines = el("ul", {}, ...advice.lines.map((line) => el("li", {}, line)));
    return el("div", { className: advice.point === null ? "advice none" : "advice" }, title, el("b", {}, advice.headline), lines, lossOf(advice));
  });
  find("#advice").append(...shown);
  if (!shown.length) find("#advice").append(el("p", {}, "Nothing was measured."));
}

/** What a loss of the exact answer costs in relevance, of each point that loses any. */
function lossOf(advice) {
  const losses = advice.relevance_costs;
  if (!losses.length) return null;
  const [{ name, recall_name: recall }] = losses;
  const signed = (value) => (value > 0 ? "+" : "") + value.toFixed(3).replace("-", "−");
  const rows = losses.map((loss) =>
    el(
      "tr", { className: loss.point === advice.point ? "chosen" : "" },
      el("td", { className: "text" }, loss.label), el("td", {}, share(loss.recall)), el("td", {}, signed(loss.change)),
      el("td", {}, `${signed(loss.low)} – ${signed(loss.high)}`), el("td", { className: "text" }, loss.is_apart ? "" : "not distinguishable"),
    ),
  );
  const heads = ["operating point", recall, name, "interval", ""];
  const head = el("tr", {}, ...heads.map((title, place) => el("th", { className: place ? "" : "text", scope: "col" }, title)));
  return el(
    "details", { className: "losses" },
    el("summary", {}, `What a loss of the exact answer costs in ${name}`),
    el("p", { className: "quiet" }, `Difference from what the exact neighbours give, query by query (paired permutation test, Holm-corrected).`),
    el("div", { className: "scroll" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows))),
  );
}

/** What sets the points of a recommendation apart from the others. */
function apartOf(advice) {
  for (const sets of Object.values(report.sets)) {
    const set = sets.find((candidate) => candidate.points.join() === advice.among.join());
    if (set) return set.apart || set.caption[0];
  }
  return "";
}
