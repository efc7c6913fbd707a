// Which points are compared, by which measure at which K; and the bar at the top that chooses it.

const measures = Object.keys(report.measures);

const scope = () => report.measures[chosen.measure].scope;
const sets = () => report.sets[scope()];
const currentSet = () => sets()[Math.min(chosen.set, sets().length - 1)];
const currentPoints = () => currentSet().points.map((number) => ({ ...points[number], number }));

/** A measure of a point: {mean, low, high}, or null where it was not measured. */
function valueOf(point, measure = chosen.measure, k = chosen.k) {
  const curve = point.curves[measure];
  const place = curve ? curve.k.indexOf(k) : -1;
  if (place < 0) return null;
  return { mean: curve.mean[place], low: curve.low ? curve.low[place] : null, high: curve.high ? curve.high[place] : null, missed: curve.missed ? curve.missed[place] : null };
}

/** `knn_recall@10 (first 10 of 100)`: a lower cut-off read off a search for k is no search for it. */
function measureName(measure = chosen.measure, k = chosen.k) {
  const [first] = currentSet().points;
  const asked = points[first].k;
  return `${measure}@${k}` + (k === asked ? "" : ` (first ${k} of ${asked})`);
}

const around = (value, low, high) => [Math.min(value, low ?? value), Math.max(value, high ?? value)];
const overlap = (one, other) => one[0] <= other[1] && other[0] <= one[1];
const areEqual = (one, other) => overlap(one.costs, other.costs) && overlap(one.values, other.values);
const byCost = (items, less) => [...items].sort((a, b) => (less ? a.cost - b.cost : b.cost - a.cost) || b.value - a.value);

/**
 * What a point costs and gives, each with its interval; whether the cost is in doubt, or a time that was measured
 * apart from that of the front, which had beaten the point before. Null if not measured.
 */
function itemOf(point, metric, { scale = 1, timed = true } = {}) {
  const found = valueOf(point);
  if (!found || point.metrics[metric] === undefined) return null;
  const cost = point.metrics[metric] * scale;
  const [low, high] = (point.intervals[metric] ?? [null, null]).map((end) => (end === null ? null : end * scale));
  return {
    point, cost, value: found.mean, interval: found, doubt: timed && point.in_doubt, apart: timed && point.apart && scope() === "exact",
    costs: around(cost, low, high), values: around(found.mean, found.low, found.high),
  };
}

/**
 * The front in groups of equal rank, the cheapest first: the rule of report/front.py, for any cost. What is at
 * least as cheap and as good beats, unless the intervals of both overlap: such points are equal.
 */
function tiersOf(items, less) {
  const filled = (some, all) => (some.length ? some : all);
  const together = filled(items.filter((item) => !item.apart), items);
  const sure = filled(together.filter((item) => !item.doubt), together);
  const tiers = [];
  const before = [];
  for (const item of byCost(sure, less)) {
    if (!before.some((other) => other.value >= item.value && !areEqual(other, item))) {
      const equals = [...tiers].reverse().find((tier) => areEqual(tier[0], item));
      if (equals) equals.push(item);
      else tiers.push([item]);
    }
    before.push(item);
  }
  return tiers;
}

const frontOf = (items, less) => tiersOf(items, less).flat();

/** What of the front a line joins: by value, each dearer one is better. */
function stepsOf(items, less) {
  let best = -Infinity;
  return byCost(frontOf(items, less), less).filter((item) => item.value > best && ((best = item.value), true));
}

/** Numbers of the points on the front of the current measure and the median latency, in groups of equal rank. */
function latencyTiers() {
  const items = currentPoints().map((point) => itemOf(point, "latency_single_p50_ms")).filter(Boolean);
  return tiersOf(items, true).map((tier) => tier.map((item) => item.point.number));
}

const latencyFront = () => latencyTiers().flat().map((number) => ({ ...points[number], number }));

/** Settings that differ among the points that have them, and those that do not. */
function settingsOf(shown) {
  const names = [...new Set(shown.flatMap((point) => Object.keys(point.settings)))];
  const valuesOf = (name) => shown.filter((point) => name in point.settings).map((point) => String(point.settings[name]));
  const varying = names.filter((name) => new Set(valuesOf(name)).size > 1);
  return { varying, same: names.filter((name) => !varying.includes(name)) };
}

/** A name that is short and still tells the point from the others of its family in the set. */
function shortName(point) {
  const { varying } = settingsOf(currentPoints().filter((other) => other.family === point.family));
  const own = varying.filter((name) => name in point.settings).map((name) => `${name}=${point.settings[name]}`);
  const models = new Set(currentPoints().map((other) => other.model));
  return [...(models.size > 1 ? [point.model] : []), point.family, ...own].join(" ");
}

function cutoffs() {
  const known = currentSet().points.flatMap((number) => points[number].curves[chosen.measure]?.k ?? []);
  return [...new Set(known)].sort((a, b) => a - b);
}

/** Another measure may compare other points: stay with the set that the first point is in. */
function chooseMeasure(measure) {
  const [first] = currentSet().points;
  const scoped = report.sets[report.measures[measure].scope];
  const set = scoped.findIndex((candidate) => candidate.points.includes(first));
  choose({ measure, set });
}

/** For how many queries the current measure says anything: `; counts 900 of 1,000 queries`. */
function uncounted() {
  const counts = currentPoints().map((point) => point.uncounted[chosen.measure]).filter(Boolean);
  if (!counts.length) return "";
  const [counted, queries] = counts[0];
  const others = counts.some(([n, of]) => n !== counted || of !== queries) ? " at the first point" : "";
  const why = report.measures[chosen.measure].at_r ? "to the others nothing is relevant, or more than k images are" : "to the others nothing is relevant";
  return `; counts ${number(counted, 0)} of ${number(queries, 0)} queries${others}: ${why}`;
}

find("#measure").addEventListener("change", (event) => chooseMeasure(event.target.value));
find("#cutoff").addEventListener("change", (event) => choose({ k: Number(event.target.value) }));
find("#log-cost").addEventListener("change", (event) => choose({ logCost: event.target.checked }));
find("#log-recall").addEventListener("change", (event) => choose({ logRecall: event.target.checked }));

if (points.length) {
  chosen.measure = report.measures[report.requirements.measure] ? report.requirements.measure : measures[0];
  chosen.k = report.requirements.k || points[sets()[0].points[0]].k;
  drawn(() => {
    const known = cutoffs();
    if (!known.includes(chosen.k)) chosen.k = known[known.length - 1];
    options(find("#measure"), measures.filter((name) => points.some((point) => point.curves[name])), chosen.measure);
    options(find("#cutoff"), known, chosen.k);
    find("#meaning").textContent = report.measures[chosen.measure].meaning + uncounted();
  });
  drawn(() => {
    find("#sets").hidden = sets().length < 2;
    const buttons = sets().map((set, number) =>
      el(
        "button",
        { type: "button", "aria-pressed": String(set === currentSet()), onclick: () => choose({ set: number }) },
        `${set.apart} (${set.points.length} point${set.points.length === 1 ? "" : "s"})`,
      ),
    );
    fill(find("#sets .choices"), ...buttons);
  });
} else {
  for (const part of ["#toolbar", "#fronts", "#table", "#curves", "#why"]) find(part).hidden = true;
}

/** How often a point's single searches were timed, and on how many queries; "" of runs that did not count them. */
const sampled = (point) => (point.queries_asked ? `; ${number(point.calls, 0)} calls of ${number(point.queries_asked, 0)} different queries` : "");
