// The map of a network: which layers are in view and which are chosen, by search, keyboard or mouse.
const FRAME = 110;
function fitMap(specification, chart) {
  const room = chart.clientWidth - FRAME;
  const charts = specification.vconcat, below = charts.at(-1);
  const widest = charts[0].width;
  if (room >= widest) return;
  const width = Math.max(200, room);
  specification.params.find((each) => each.name === "room").value = width;
  specification.vconcat = [...charts.slice(0, -1), ...below.hconcat ?? [below]];
  for (const each of specification.vconcat) each.width = width;
  JSON.stringify(specification.vconcat, (key, value) => {
    if (key !== "legend" || value === null) return value;
    if (value.orient === "right" || value.type === "gradient") value.orient = "bottom";
    if (value.gradientLength) Object.assign(value, { titleOrient: "top", direction: "horizontal", gradientLength: 120 });
    else value.columns = 2;
  });
}

function layerMap(chart, view, controls, table) {
  const layers = view.data("layers").map(({ depth, layer }) => ({ depth, name: layer.toLowerCase() }));
  const count = layers.length;
  const part = (name) => controls.querySelector(`[data-${name}]`);
  const find = part("find"), firstBox = part("first"), lastBox = part("last");
  let first = 1, last = count, shown = [];
  firstBox.value = first; lastBox.value = last;

  function look(from, to) {
    const wide = Math.min(count, Math.max(1, Math.round(to - from + 1)));
    first = Math.min(Math.max(1, Math.round(from)), count - wide + 1);
    last = first + wide - 1;
    firstBox.value = first; lastBox.value = last;
    view.signal("first", first).signal("last", last).runAsync();
  }
  function choose(depths) {
    shown = depths;
    view.signal("shown", shown).runAsync();
    for (const row of table.tBodies[0].rows) {
      const chosen = shown.includes(+row.dataset.depth);
      row.classList.toggle("chosen", chosen);
      row.querySelector("button").setAttribute("aria-pressed", chosen);
    }
  }
  function search() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = layers.filter(({ name }) => words.every((word) => name.includes(word))).map(({ depth }) => depth);
    for (const row of table.tBodies[0].rows) row.hidden = !found.includes(+row.dataset.depth);
    choose(words.length === 0 ? [] : found.length ? found : [0]);
    part("count").textContent = words.length === 0 ? `${count} layers` : `${found.length} of ${count} layers`;
  }
  function only(depth) {
    if (find.value) { find.value = ""; search(); }
    const again = shown.length === 1 && shown[0] === depth;
    choose(again ? [] : [depth]);
    const row = table.tBodies[0].querySelector(`[data-depth="${depth}"]`), box = table.parentElement;
    if (!again) box.scrollTop = Math.max(0, row.offsetTop - box.offsetTop - box.clientHeight / 2);
  }
  const step = () => Math.max(1, (last - first + 1) / 2);
  const moves = {
    in: () => look(first + step() / 2, last - step() / 2),
    out: () => look(first - step(), last + step()),
    earlier: () => look(first - step(), last - step()),
    later: () => look(first + step(), last + step()),
    all: () => look(1, count),
  };
  for (const button of controls.querySelectorAll("[data-move]")) button.addEventListener("click", moves[button.dataset.move]);
  for (const box of [firstBox, lastBox]) box.addEventListener("change", () => {
    const [from, to] = [+firstBox.value || first, +lastBox.value || last];
    look(Math.min(from, to), Math.max(from, to));
  });
  find.addEventListener("input", search);
  find.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { find.value = ""; search(); }
    if (event.key === "Enter" && shown[0]) look(shown[0] - 2, shown.at(-1) + 2);
  });
  table.addEventListener("click", (event) => {
    const button = event.target.closest("tbody button");
    if (button) only(+button.closest("tr").dataset.depth);
  });
  view.addEventListener("click", (event, item) => { if (item?.datum?.depth) only(item.datum.depth); });
  if (controls.dataset.window) view.addSignalListener("window", (name, { depth }) => {
    if (!depth) moves.all(); else if (depth[1] - depth[0] >= 1) look(Math.ceil(depth[0]), Math.floor(depth[1]));
  });
  search();
}

// The table of layers is in the page, with or without this script, which sorts it.
function sortedByTitles(table) {
  const body = table.tBodies[0];
  for (const cell of table.tHead.rows[0].cells) cell.querySelector("button").addEventListener("click", () => {
    const down = cell.getAttribute("aria-sort") !== "descending" && (cell.classList.contains("number") || cell.hasAttribute("aria-sort"));
    const value = (row) => +row.cells[cell.cellIndex].dataset.value;
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...[...body.rows].sort((one, other) => (down ? -1 : 1) * (value(one) - value(other))));
  });
}
