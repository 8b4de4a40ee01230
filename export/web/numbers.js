// Rows from text: pasted numbers, CSV, TSV. Read as Python reads tables for a bundle.

import { Problem, arrayOf, sizeOf } from "./bundle.js";

/**
 * Return the rows that a text holds.
 * @param spec The input's spec. A row is one line of all its numbers, or, for series, one line per
 *   step; a single row may also stand in one column.
 * @param padded Whether a short series or token row is filled up with zeros.
 * @returns `{rows, lengths}`; lengths are null where rows are whole.
 */
export function rowsOfText(text, spec, padded = false) {
  const lines = numbersOf(text);
  const width = lines[0].length;
  if (lines.some((line) => line.length !== width)) {
    const odd = lines.findIndex((line) => line.length !== width);
    throw new Problem(`Line ${odd + 1} holds ${lines[odd].length} numbers, the first ${width}. ${wanted(spec)}`);
  }
  const size = sizeOf(spec.shape);
  const [steps] = spec.shape;
  const perStep = size / steps; // numbers of one step of a series, 1 for tokens and features
  const flat = lines.flat();
  let count = 0;
  let length = null;
  if (width === size) count = lines.length;
  else if (width === perStep && lines.length % steps === 0) count = lines.length / steps;
  else if (padded && (width === perStep || lines.length === 1) && flat.length < size) {
    count = flat.length % perStep === 0 ? 1 : 0;
    length = flat.length / perStep;
  }
  if (!count) {
    throw new Problem(`Received ${plural(lines.length, "line")} of ${plural(width, "number")}. ${wanted(spec, padded)}`);
  }
  const rows = Array.from({ length: count }, (_, i) => flat.slice(i * size, (i + 1) * size));
  const lengths = length === null ? null : [length];
  return { rows: rows.map((row) => checked(spec, row, size)), lengths };
}

/** Say what a row looks like. */
export function wanted(spec, padded = false) {
  const [steps, channels] = spec.shape;
  const size = sizeOf(spec.shape);
  const most = padded ? "up to " : "";
  if (spec.shape.length === 2) {
    return `A row is ${most}${plural(steps, "line")} of ${plural(channels, "number")}, or one line of ${size}.`;
  }
  return `A row is one line of ${most}${plural(size, "number")}.`;
}

const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

function numbersOf(text) {
  const lines = text.split(/\r?\n/).map((line) => line.replace(/^\uFEFF/, "").trim()).filter(Boolean);
  if (!lines.length) throw new Problem("There are no numbers yet.");
  const count = (sign) => lines[0].split(sign).length;
  const sign = ["\t", ";", ","].reduce((best, next) => (count(next) > count(best) ? next : best));
  const separator = count(sign) > 1 ? sign : /\s+/;
  const cells = lines.map((line) => line.split(separator).map((cell) => cell.trim()));
  if (cells.length > 1 && cells[0].some((cell) => !isNumber(cell))) cells.shift(); // a header
  cells.forEach((line, i) => line.forEach((cell) => {
    if (!isNumber(cell)) throw new Problem(`“${cell.slice(0, 30)}” in line ${i + 1} is no number.`);
  }));
  return cells.map((line) => line.map(Number));
}

const isNumber = (cell) => cell !== "" && Number.isFinite(Number(cell));

function checked(spec, values, size) {
  if (spec.dtype !== "float32") {
    const [low, high] = [spec.low ?? 0, spec.high ?? 2 ** 31 - 1];
    const wrong = values.find((value) => !Number.isInteger(value) || value < low || value > high);
    if (wrong !== undefined) {
      throw new Problem(`The model takes whole numbers from ${low} to ${high}, not ${wrong}.`);
    }
  }
  const row = arrayOf(spec.dtype, size); // what is missing stays 0
  row.set(values);
  if (!row.every(Number.isFinite)) throw new Problem("A number is larger than the model can take.");
  return row;
}

/** Return a row as text, one line per step, as `rowsOfText` reads it. */
export function textOfRow(row, spec) {
  const width = spec.shape.length === 2 ? spec.shape[1] : row.length;
  const lines = [];
  for (let i = 0; i < row.length; i += width) {
    lines.push(Array.from(row.subarray(i, i + width), (value) => String(+value.toPrecision(7))).join(","));
  }
  return lines.join("\n");
}
