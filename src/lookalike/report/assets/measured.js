// How it was measured: what all runs share once, then each run with its stages; and the first drawing of all.

const bytes = (value) => (value === undefined ? "" : value >= 1e9 ? `${number(value / 1e9, 2)} GB` : `${number(value / 1e6, 1)} MB`);

/** Nested values as flat lines: `versions.faiss: 1.15.1`. */
function flattened(value, name = "") {
  if (value === null || value === undefined || value === "") return [];
  if (Array.isArray(value)) return value.length ? [[name, value.join("; ")]] : [];
  if (typeof value === "object") return Object.entries(value).flatMap(([key, item]) => flattened(item, name ? `${name}.${key}` : key));
  if (name.endsWith("bytes")) return [[name.replace(/_?bytes$/, ""), bytes(value)]];
  return [[name, typeof value === "number" ? number(value, Number.isInteger(value) ? 0 : 3) : String(value)]];
}

const definitions = (lines) => el("dl", {}, ...lines.flatMap(([name, value]) => [el("dt", {}, name.replace(/_/g, " ")), el("dd", {}, value)]));

const known = (value) => value !== undefined && value !== null;

/** What other programs used while searches were timed; runs of earlier versions have a share of the machine. */
function load(timing) {
  if (known(timing.busy_cores)) return `${timing.busy_cores.toFixed(2)} cores`;
  return known(timing.other_cpu_share) ? `${(100 * timing.other_cpu_share).toFixed(1)} % of the processors` : "not measured";
}

const STAGE_HEADS = { stage: "stage", outcome: "outcome", reason: "because", seconds: "took now, s", built_seconds: "took when built, s", bytes: "size", peak_rss_bytes: "peak memory", key: "key" };

function stageTable(stages) {
  const heads = Object.keys(STAGE_HEADS).filter((name) => stages.some((stage) => name in stage));
  const show = (name, value) => (value === undefined ? "" : name.endsWith("bytes") ? bytes(value) : name === "key" ? value.slice(0, 12) : typeof value === "number" ? number(value, 2) : String(value));
  const text = ["stage", "outcome", "reason", "key"];
  const css = (name) => ({ className: text.includes(name) ? "text" : "" });
  return el(
    "table", {},
    el("thead", {}, el("tr", {}, ...heads.map((name) => el("th", css(name), STAGE_HEADS[name])))),
    el("tbody", {}, ...stages.map((stage) => el("tr", {}, ...heads.map((name) => el("td", css(name), show(name, stage[name])))))),
  );
}

{
  const part = find("#measured");
  const lines = runs.map((run) => new Map(flattened(run.environment)));
  const names = [...new Set(lines.flatMap((each) => [...each.keys()]))];
  const shared = names.filter((name) => lines.every((each) => each.get(name) === lines[0].get(name)));
  const said = new Map(); // flags that differ in their numbers only are one, with the first one's numbers
  for (const flag of runs.flatMap((run) => run.timing.flags ?? [])) {
    const kind = flag.replace(/[-+]?\d+/g, "#");
    said.set(kind, { flag: said.get(kind)?.flag ?? flag, count: (said.get(kind)?.count ?? 0) + 1 });
  }
  for (const { flag, count } of said.values()) part.append(el("p", { className: "warning" }, `warning${runs.length > 1 ? ` (${count} of ${runs.length} runs${count > 1 ? ", the first of them" : ""})` : ""}: ${flag}`));
  const doubtful = points.filter((point) => point.doubts.length && !runs[point.run].timing.flags?.length);
  if (doubtful.length) part.append(el("p", { className: "warning" }, `warning: ${doubtful.length > 1 ? `timings of ${doubtful.length} of ${points.length} points are in doubt; of the first, ` : ""}${doubtful[0].label}: ${doubtful[0].doubts[0]}`));
  for (const run of runs.filter((each) => each.error)) part.append(el("p", { className: "warning" }, `${run.name} ${run.status}: ${run.error}`));
  if (runs.length) {
    part.append(el("details", { className: "run", open: true }, el("summary", {}, runs.length > 1 ? "the same for all runs" : "machine and versions"), definitions(shared.filter((name) => lines[0].has(name)).map((name) => [name, lines[0].get(name)]))));
  }
  runs.forEach((run, place) => {
    const built = run.stages.filter((stage) => stage.outcome === "built").map((stage) => stage.stage);
    const title = `${run.name} · ${run.started.slice(0, 19).replace("T", " ")} · ${run.status} · ${built.length ? `built: ${built.join(", ")}` : "all stages reused"}`;
    const own = [...lines[place]].filter(([name]) => !shared.includes(name));
    const facts = [
      ["points", run.points.join("; ")], ["overrides", run.overrides.join(" ")], ...flattened(run.data), ["bad images", String(run.bad_images)],
      ...flattened(run.index).map(([name, value]) => [`index ${name}`, value]),
      ["drift", known(run.timing.drift) ? `${(100 * run.timing.drift).toFixed(1)} %` : "not measured"],
      ["other programs", load(run.timing)],
      ["throttled", known(run.timing.throttled) ? `in ${number(run.timing.throttled, 0)} periods of the quota` : ""],
      ...own,
    ].filter(([, value]) => value);
    const details = el("details", { className: "run" }, el("summary", {}, title));
    details.addEventListener("toggle", () => details.children.length > 1 || details.append(el("div", { className: "scroll" }, stageTable(run.stages)), definitions(facts)));
    part.append(details);
  });
}

choose({});
