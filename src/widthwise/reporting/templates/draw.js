const read = (id) => JSON.parse(document.getElementById(id).textContent);
const element = (tag, text, properties = {}) => Object.assign(document.createElement(tag), { textContent: text }, properties);
const options = (name) => ({
  renderer: "svg", downloadFileName: name, tooltip: { theme: "custom" },
  actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false },
});

// Tables of charts, of which a specification has the names alone.
const stored = document.getElementById("data") ? read("data") : {};
const rowsOf = ({ fields, rows }) => rows.map((row) => Object.fromEntries(fields.map((field, at) => [field, row[at]])));
function withTables({ tables, ...specification }) {
  if (tables) specification.datasets = Object.fromEntries(tables.map((name) => [name, rowsOf(stored[name])]));
  return specification;
}

// By the name of a chart, a function that changes its specification to fit the window; of the others, views that have no
// room side by side go below each other.
const fitting = new Map();
const BESIDE = 70;
function fit(specification, { clientWidth: room }) {
  const widthOf = (view) => (view.width ?? view.spec?.width ?? 0) + BESIDE;
  const count = (widest) => Math.max(1, Math.floor(room / widest));
  for (const each of [specification, ...specification.vconcat ?? []]) {
    const beside = each.hconcat ?? (each.columns && each.concat);
    if (beside) {
      const columns = count(Math.max(...beside.map(widthOf)));
      if (columns >= Math.min(beside.length, each.columns ?? Infinity)) continue;
      delete each.hconcat;
      Object.assign(each, { concat: beside, columns });
    } else if (each.facet && each.columns) each.columns = Math.min(each.columns, count(widthOf(each) - BESIDE / 3));
  }
  JSON.stringify(specification, (key, value) => {
    if (key === "legend" && value?.columns) value.columns = Math.min(value.columns, count(160));
    return value;
  });
}

// For screen readers: a name for the menu, and no role for groups of marks that have no name.
function describe(chart) {
  chart.querySelector("details > summary")?.setAttribute("aria-label", "Save this chart");
  for (const group of chart.querySelectorAll("g[role=graphics-symbol]:not([aria-label])")) {
    group.removeAttribute("role");
    group.removeAttribute("aria-roledescription");
  }
}

// Charts are drawn as they come near the window, and the others when the browser has nothing else to do.
const waiting = new Set(document.querySelectorAll("[data-specification]"));
const charts = waiting.size;
let drawn = 0;
async function draw(chart) {
  if (!waiting.delete(chart)) return;
  const name = chart.dataset.specification;
  const specification = withTables(read(name));
  (fitting.get(name) ?? fit)(specification, chart.closest(".figures") ?? chart);
  const { view } = await vegaEmbed(chart, specification, options(name.replace(/\.chart$/, "")));
  describe(chart);
  chart.classList.add("drawn");
  chart.dispatchEvent(new CustomEvent("drawn", { detail: view }));
  drawn += 1;
  if (drawn === charts) allDrawn();
}
// What is drawn last, such as a chart that the reader fills.
let drawLast = async () => {};
const allDrawn = () => drawLast().finally(() => { document.documentElement.dataset.drawn = charts; });
const near = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); draw(entry.target); }
}, { rootMargin: "600px" });
for (const chart of waiting) near.observe(chart);
const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 50));
const drawNext = () => { const [next] = waiting; if (next) draw(next).finally(() => idle(drawNext)); };
if (charts === 0) idle(allDrawn);
idle(drawNext);
