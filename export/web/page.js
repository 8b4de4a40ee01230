// Small helpers around the document.

import { Problem } from "./bundle.js";

/** Return a new element with properties and children. */
export function element(name, properties = {}, children = []) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Return a number in few digits. */
export function short(value, digits = 4) {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential(2);
  return String(+value.toPrecision(digits));
}

/** Return the smallest and the largest of many numbers. */
export function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** Show a problem, or take the last one away; nothing else on the page changes. */
export function say(error) {
  const place = byId("problem");
  place.hidden = !error;
  place.textContent = error ? error.message : "";
  if (error) place.scrollIntoView({ block: "nearest" });
}

/**
 * Run a task; a problem is shown on the page, and anything unforeseen on the console too.
 * @param quiet Whether a problem that is shown already stays there: the user did not ask for this.
 */
export async function trying(task, { quiet = false } = {}) {
  try {
    if (!quiet) say(null);
    return await task();
  } catch (error) {
    if (!(error instanceof Problem)) console.error(error);
    say(error);
    return undefined;
  }
}
