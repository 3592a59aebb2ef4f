// A table that can be sorted by any column and filtered by words; on paper it has all its rows, up to a number of pages.
const STEP = 200, ON_PAPER = 2000, REPEATED = 3, ACROSS = 10;
const numberText = (value) => {
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return value.toLocaleString("en", { maximumFractionDigits: 0 });
  const [digits, power] = value.toExponential(3).split("e");
  return +power < -4 ? `${+digits}e${+power}` : String(+value.toPrecision(4));
};
const shown = (value) => value === null ? "–" : typeof value === "number" ? numberText(value).replaceAll("-", "−") : String(value);
const anyCell = (row, word) => row.some((value) => String(value).toLowerCase().includes(word));
function sortable(container, { titles, numeric, rows }, { controls, matches = anyCell, wanted = () => true, fill } = {}) {
  let column = -1, descending = false, count = STEP, printing = false;
  const table = document.createElement("table"), head = table.createTHead().insertRow(), body = table.createTBody();
  const filter = controls?.querySelector("[data-filter]"), counted = controls?.querySelector("[data-count]");
  const heads = titles.map((title, at) => {
    const cell = element("th", "", { scope: "col" }), button = element("button", title, { type: "button" });
    if (numeric[at]) cell.className = "number";
    button.addEventListener("click", () => {
      descending = column === at ? !descending : numeric[at];
      column = at; count = STEP; update();
    });
    cell.append(button); head.append(cell);
    return cell;
  });
  const more = element("button", "Show more", { type: "button", className: "more" });
  more.addEventListener("click", () => { count += 5 * STEP; update(); });
  function compare(one, other) {
    if (one === null || other === null) return (one === null) - (other === null);
    const order = typeof one === "number" ? one - other : String(one).localeCompare(String(other), undefined, { numeric: true });
    return descending ? -order : order;
  }
  // On paper a wide table is several, each with the first columns and some of the others.
  function parts() {
    const all = titles.map((_, at) => at), rest = all.slice(REPEATED), across = ACROSS - REPEATED;
    if (!printing || all.length <= ACROSS) return [];
    return rest.filter((_, at) => at % across === 0).map((first) => [...all.slice(0, REPEATED), ...all.slice(first, first + across)]);
  }
  function part(columns) {
    const copy = table.cloneNode(true);
    for (const row of copy.rows) row.replaceChildren(...columns.map((at) => row.cells[at].cloneNode(true)));
    return copy;
  }
  function update() {
    const words = (filter?.value ?? "").toLowerCase().replaceAll("−", "-").split(/\s+/).filter(Boolean);
    const found = rows.filter((row) => wanted(row) && words.every((word) => matches(row, word)));
    if (column >= 0) found.sort((one, other) => compare(one[column], other[column]));
    heads.forEach((cell, at) => at === column
      ? cell.setAttribute("aria-sort", descending ? "descending" : "ascending") : cell.removeAttribute("aria-sort"));
    const shownRows = printing ? Math.max(count, ON_PAPER) : count;
    body.replaceChildren(...found.slice(0, shownRows).map((row) => {
      const line = document.createElement("tr");
      row.forEach((value, at) => {
        const cell = line.insertCell();
        if (numeric[at]) cell.className = "number";
        if (!fill?.(cell, titles[at], value)) cell.textContent = shown(value);
      });
      return line;
    }));
    more.hidden = found.length <= shownRows;
    more.textContent = printing ? `${numberText(found.length - shownRows)} more rows` : "Show more";
    const onPaper = parts().map(part);
    table.hidden = onPaper.length > 0;
    container.replaceChildren(table, ...onPaper, more);
    if (counted) counted.textContent = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
  }
  controls?.addEventListener("input", () => { count = STEP; update(); });
  window.addEventListener("beforeprint", () => { printing = true; update(); });
  window.addEventListener("afterprint", () => { printing = false; update(); });
  update();
  return update;
}
