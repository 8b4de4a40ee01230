// Rows that are no pictures and no series: a line per feature or token.

import { element, extent, short } from "./page.js";

/**
 * Return a table with a line per place.
 * @param first The heading of the places.
 * @param columns `{heading: values}`; the column `error` also gets bars.
 */
export function numberTable(first, columns, count) {
  const names = Object.keys(columns);
  const head = element("tr", {}, [first, ...names].map((name) => element("th", { scope: "col" }, [name])));
  const largest = extent(columns.error ?? [0])[1] || 1;
  const lines = Array.from({ length: count }, (_, place) => element("tr", {}, [
    element("th", { scope: "row" }, [String(place)]),
    ...names.map((name) => cell(name, columns[name][place], largest)),
  ]));
  const table = element("table", {}, [element("thead", {}, [head]), element("tbody", {}, lines)]);
  // It scrolls, so the keyboard must be able to reach it.
  return element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: names.join(", ") }, [table]);
}

function cell(name, value, largest) {
  const made = element("td", {}, [short(value)]);
  if (name === "error") {
    made.className = "error";
    made.style.setProperty("--share", `${(100 * value) / largest}%`);
  }
  return made;
}
