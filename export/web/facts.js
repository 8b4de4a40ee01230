// The head and the foot of the page: which model this is, and what is known of it.

import { byId, element, short } from "./page.js";

/** Fill in what the manifest says. */
export function describeBundle(bundle) {
  const { entry, parameters, endpoints, precision, versions, created } = bundle.manifest;
  document.title = `${entry.name}, an aezoo bundle`;
  byId("name").textContent = entry.name;
  byId("task").textContent = [entry.task, endpoints[0].inputs[0].name].filter(Boolean).join(" · ");
  byId("summary").textContent = entry.summary || entry.title;
  byId("integrity").dataset.checked = bundle.checks;
  byId("integrity").textContent = bundle.checks
    ? "Every file is compared with the manifest's sha256 before it is used."
    : "The files are not checked: browsers compute sha256 on https and on this machine alone.";
  const facts = {
    parameters: parameters.toLocaleString("en"),
    precision,
    endpoints: endpoints.map((endpoint) => endpoint.name).join(", "),
    "written by": `aezoo ${versions.aezoo}, ${created.slice(0, 10)}`,
    ...calibration(bundle.manifest),
    ...verification(bundle.manifest),
    ...metrics(bundle.manifest.metrics),
    source: entry.source,
  };
  for (const [name, value] of Object.entries(facts)) {
    if (value) byId("facts").append(element("div", {}, [element("dt", {}, [name]), element("dd", {}, [value])]));
  }
}

function calibration({ calibration: made }) {
  if (!made) return {};
  const rows = made.rows ? `, from ${made.rows} rows` : "";
  return { "false alarms": `at most ${short(100 * made.alpha)} % of normal rows${rows}` };
}

/** The largest difference between ONNX Runtime and Keras, seen at the export. */
function verification({ verification: { comparisons } }) {
  const scores = comparisons.filter(({ output }) => output === "score").map(({ onnx }) => onnx);
  return scores.length ? { "largest difference from Keras, score": short(Math.max(...scores)) } : {};
}

/** Flatten `{role: {term: number}}` and `{name: number}` alike. */
function metrics(measured, prefix = "") {
  return Object.fromEntries(Object.entries(measured).flatMap(([name, value]) => {
    const called = `${prefix} ${name}`.trim().replaceAll("_", " ");
    if (value && typeof value === "object") return Object.entries(metrics(value, called));
    return [[called, typeof value === "number" ? short(value) : String(value)]];
  }));
}
