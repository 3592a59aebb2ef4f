const { tables, settings, titles, store } = read("tables");

// The protocol that is shown: elements of another are hidden by the style sheet.
const root = document.documentElement;
const whenChosen = [];
document.getElementById("protocol")?.addEventListener("change", ({ target }) => {
  root.dataset.chosen = target.value;
  for (const each of whenChosen) each();
});
const ofChosen = ({ titles, rows }) => {
  const at = titles.indexOf("protocol"), several = at >= 0 && rows.some((row) => row[at] === root.dataset.chosen);
  return several ? (row) => row[at] === root.dataset.chosen : () => true;
};
const widthText = (width) => {
  const whole = (value) => Math.abs(value - Math.round(value)) < 1e-6;
  const top = width < 1 ? [1, 3, 5, 7, 9].find((each) => whole(each / width)) : undefined;
  return (top ? `${top}/${Math.round(top / width)}` : String(width)) + "×";
};

// Tables whose trials are links.
const trialLink = (identity) => element("a", identity, { href: `#trial=${identity}` });
function linkTrials(cell, title, value) {
  if (title !== "trial" && title !== "trials") return false;
  const trials = Array.isArray(value) ? value : [value];
  cell.replaceChildren(...trials.flatMap((each, at) => at ? [" ", trialLink(each)] : [trialLink(each)]));
  return true;
}
for (const details of document.querySelectorAll("details[data-table]")) {
  details.addEventListener("toggle", () => {
    const container = details.querySelector(".sortable");
    if (details.open && !container.firstChild) {
      const table = tables[details.dataset.experiment][details.dataset.table];
      whenChosen.push(sortable(container, table, { controls: details, fill: linkTrials, wanted: (row) => ofChosen(table)(row) }));
    }
  });
}

// All that is known of one trial.
const dialog = document.getElementById("trial");
function showTrial(identity) {
  const content = document.getElementById("trial-content");
  content.replaceChildren();
  const statuses = new Set(), folder = `${store}/trials/${identity}`;
  for (const [experiment, { shared, own }] of Object.entries(settings)) {
    if (!Object.hasOwn(own, identity)) continue;
    const find = (name) => {
      const table = tables[experiment]?.[name], at = table?.titles.indexOf("trial") ?? -1;
      const row = at < 0 ? undefined : table.rows.filter(ofChosen(table)).find((each) => each[at] === identity);
      return row && Object.fromEntries(table.titles.map((title, index) => [title, row[index]]));
    };
    const run = find("runs"), network = find("networks");
    const counts = run?.status === "counted" ? "Its parameters and its arithmetic were counted; it was not trained."
      : network ? "It counts: means and verdicts of this experiment include it."
      : run?.status === "trained" ? "It does not count here: of the runs that differ in tuned values alone, another was chosen, or one is not run yet."
      : run?.status === "diverged" ? "Its training diverged, so there is no network." : "It was not run yet.";
    statuses.add(run?.status);
    const list = (pairs) => {
      const terms = document.createElement("dl");
      for (const [name, value] of pairs) terms.append(element("dt", name), element("dd", shown(value)));
      return terms;
    };
    const all = document.createElement("details");
    all.append(element("summary", "Settings that it shares with the experiment's other trials"), list(Object.entries(shared)));
    content.append(element("h3", titles[experiment]), element("p", counts),
      list(Object.entries({ ...run, ...network }).filter(([name]) => name !== "trial")),
      element("h4", "Its own settings"), list(Object.entries(own[identity]).filter(([, value]) => value !== "")), all);
  }
  const known = content.childElementCount > 0;
  document.getElementById("trial-title").textContent = known ? `Trial ${identity}` : `There is no trial ${identity} here`;
  if (statuses.has("trained")) content.append(element("p", "Its files, with the trained network: "), element("pre", folder),
    element("p", "To measure it again, unit by unit: "), element("pre", `widthwise profile ${/^[\w@%+=:,./-]+$/.test(folder) ? folder : `'${folder.replaceAll("'", `'"'"'`)}'`}`));
  else if (statuses.has("diverged")) content.append(element("p", "Its files: "), element("pre", folder));
  if (!dialog.open) dialog.showModal();
}
dialog.addEventListener("close", () => { if (location.hash.startsWith("#trial=")) history.replaceState(null, "", location.pathname + location.search); });

// Claims by their answer; those that were not run only if asked for.
const answer = document.getElementById("answer"), notRun = document.getElementById("not-run");
function showClaims() {
  for (const row of document.querySelectorAll("tr[data-answer]")) {
    row.hidden = row.dataset.answer === "not run" ? !(notRun?.checked && answer.value === "")
      : answer.value !== "" && row.dataset.answer !== answer.value;
  }
}
for (const control of [answer, notRun]) control?.addEventListener("change", showClaims);

// The explorer.
const layers = read("layers"), form = document.getElementById("choice");
const choose = { experiment: document.getElementById("choice-experiment"), series: document.getElementById("choice-series"), widths: document.getElementById("choice-widths") };
const chosenWidths = () => [...choose.widths.querySelectorAll("input:checked")].map((box) => Number(box.value));
const REACH = 0.45;
let last = 0, drawing, nearby;
async function explore() {
  const { layers: all, middles, widths, colours } = layers[choose.experiment.value];
  const wanted = chosenWidths(), protocol = root.dataset.chosen;
  const some = all.filter((row) => row.series === choose.series.value && wanted.includes(row.width_factor))
    .map(({ measured, ...row }) => ({ ...row, ...measured[protocol] ?? Object.values(measured)[0] }));
  const about = (row) => ({ layer: row.layer, depth: row.depth, width: widthText(row.width_factor), width_factor: row.width_factor, colour: colours[widths.indexOf(row.width_factor)] });
  const specification = read("explorer-specification");
  specification.datasets = {
    layers: some.map((row) => ({ ...about(row), units: row.units, n: row.n, auc: row.auc, auc_std: row.auc_std, similarity: row.similarity, similarity_std: row.similarity_std,
      auc_low: row.auc - (row.auc_std ?? 0), auc_high: row.auc + (row.auc_std ?? 0),
      similarity_low: row.similarity - (row.similarity_std ?? 0), similarity_high: row.similarity + (row.similarity_std ?? 0) })),
    curves: some.flatMap((row) => row.curve.map(([share_dropped, unchanged]) => ({ ...about(row), share_dropped, unchanged }))),
    violins: some.flatMap((row) => {
      const peak = Math.max(...row.violin) || 1, centre = wanted.indexOf(row.width_factor);
      return row.violin.map((share, at) => ({ ...about(row), share, middle: middles[at], left: centre - REACH * share / peak, right: centre + REACH * share / peak }));
    }),
  };
  const turn = ++last;
  const numbers = document.querySelector("#explorer-numbers .sortable");
  const columns = ["layer", "depth", "width_factor", "units", "n", "auc", "auc_std", "similarity", "similarity_std", "dead_fraction"];
  sortable(numbers, { titles: columns, numeric: columns.map((name) => name !== "layer"), rows: some.map((row) => columns.map((name) => row[name])) });
  const chart = document.getElementById("explorer-chart");
  const shows = [choose.experiment.value, choose.series.value, wanted.join(",")].join("/"), fresh = element("div", "", { className: "chart drawn" });
  fit(specification, chart);
  document.getElementById("explorer-said").textContent =
    `${titles[choose.experiment.value]}: ${choose.series.value}, ${wanted.map(widthText).join(", ")}`;
  const result = await vegaEmbed(fresh, specification, options("layers"));
  if (turn !== last) return result.finalize(); // another choice was made meanwhile
  drawing?.finalize();
  drawing = result;
  describe(fresh);
  chart.replaceChildren(fresh);
  chart.dataset.shows = shows;
}
function offerSeries(series) {
  const { series: all, widths, colours } = layers[choose.experiment.value];
  choose.series.replaceChildren(...all.map((name) => element("option", name, { value: name })));
  if (all.includes(series)) choose.series.value = series;
  choose.widths.replaceChildren(element("legend", "Widths"), ...widths.map((width, at) => {
    const label = document.createElement("label"), box = element("input", "", { type: "checkbox", value: width, checked: true });
    const swatch = element("span", "", { className: "swatch" });
    swatch.style.background = colours[at];
    label.append(box, swatch, widthText(width));
    return label;
  }));
}
function keep() {
  const words = new URLSearchParams({ experiment: choose.experiment.value, series: choose.series.value, widths: chosenWidths().join(",") });
  history.replaceState(null, "", `#explorer?${words}`);
}
if (form) {
  choose.experiment.replaceChildren(...Object.keys(layers).map((name) => element("option", titles[name], { value: name })));
  offerSeries();
  choose.experiment.addEventListener("change", () => { offerSeries(); keep(); explore(); });
  for (const control of [choose.series, choose.widths]) control.addEventListener("change", () => { keep(); explore(); });
  nearby = new IntersectionObserver(([entry]) => { if (entry.isIntersecting) { nearby.disconnect(); explore(); } }, { rootMargin: "400px" });
  nearby.observe(document.getElementById("explorer-chart"));
  drawLast = async () => { if (last === 0) { nearby.disconnect(); await explore(); } };
  whenChosen.push(() => { if (last > 0) explore(); });
}

// On paper, what was folded is open: how each claim was tested.
const opened = [];
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("tr:not([hidden]) details:not([open])")) { details.open = true; opened.push(details); }
});
window.addEventListener("afterprint", () => { for (const details of opened.splice(0)) details.open = false; });

// The address bar leads to a trial or to a choice of the explorer; to sections the browser goes by itself.
function follow() {
  const hash = location.hash.slice(1), [section, words] = hash.split("?");
  if (hash.startsWith("trial=")) return showTrial(new URLSearchParams(hash).get("trial"));
  if (dialog.open) dialog.close();
  if (section !== "explorer" || !words || !form) return;
  const wanted = new URLSearchParams(words);
  if (!Object.hasOwn(layers, wanted.get("experiment"))) return;
  choose.experiment.value = wanted.get("experiment");
  offerSeries(wanted.get("series"));
  const some = (wanted.get("widths") ?? "").split(",").map(Number);
  for (const box of choose.widths.querySelectorAll("input")) box.checked = some.includes(Number(box.value));
  document.getElementById("explorer").scrollIntoView();
  nearby.disconnect();
  explore();
}
window.addEventListener("hashchange", follow);
follow();
root.dataset.ready = "true";
