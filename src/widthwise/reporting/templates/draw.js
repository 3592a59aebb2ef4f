const read = (id) => JSON.parse(document.getElementById(id).textContent);
const element = (tag, text, properties = {}) => Object.assign(document.createElement(tag), { textContent: text }, properties);
const options = (name) => ({
  renderer: "svg", downloadFileName: name, tooltip: { theme: "custom" },
  actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false },
});

// By the name of a chart, a function that changes its specification to fit the window.
const fitting = new Map();

// Charts are drawn as they come near the window, and the others when the browser has nothing else to do.
const waiting = new Set(document.querySelectorAll("[data-specification]"));
const charts = waiting.size;
let drawn = 0;
async function draw(chart) {
  if (!waiting.delete(chart)) return;
  const name = chart.dataset.specification;
  const specification = read(name);
  fitting.get(name)?.(specification, chart);
  const { view } = await vegaEmbed(chart, specification, options(name.replace(/\.chart$/, "")));
  chart.classList.add("drawn");
  chart.dispatchEvent(new CustomEvent("drawn", { detail: view }));
  drawn += 1;
  if (drawn === charts) document.documentElement.dataset.drawn = charts;
}
const near = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); draw(entry.target); }
}, { rootMargin: "600px" });
for (const chart of waiting) near.observe(chart);
const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 50));
const drawNext = () => { const [next] = waiting; if (next) draw(next).finally(() => idle(drawNext)); };
if (charts === 0) document.documentElement.dataset.drawn = 0;
idle(drawNext);
