// A number that is typed: a class, a length, a component.

import { Problem, arrayOf } from "./bundle.js";
import { element, trying } from "./page.js";

/** What a tensor of one number holds until somebody types. */
export const startOf = ({ dtype, default: value, low }) => arrayOf(dtype, [value ?? Math.max(low ?? 0, 0)]);

/**
 * Return a labelled field for a tensor of one number, with what it means below it.
 * @param onChange Called with a typed array when a number in its range was typed.
 */
export function numberField(tensor, id, onChange) {
  const { name, dtype, low, high, description } = tensor;
  const step = dtype === "float32" ? "any" : 1;
  const field = element("input", { type: "number", id, step, value: startOf(tensor)[0] });
  if (low !== null) field.min = low;
  if (high !== null) field.max = high;
  field.addEventListener("change", () => trying(() => {
    if (!field.checkValidity() || field.value === "") throw new Problem(`${name}: ${field.validationMessage}`);
    onChange(arrayOf(dtype, [field.value]));
  }));
  const said = element("span", { className: "quiet", id: `about-${id}` }, [description]);
  field.setAttribute("aria-describedby", said.id);
  return element("div", {}, [element("label", {}, [`${name} `, field]), said]);
}
