// What the model says of one row, as pictures, charts or tables.

import { byId, element, extent, short } from "./page.js";
import { heatmap, legend, masked, picture, scaleBar } from "./picture.js";
import { seriesPlot } from "./plot.js";
import { numberTable } from "./table.js";

const KNOWN = ["reconstruct", "encode", "decode", "generate", "score", "detect", "segment"];
const CLASSES = 8; // shown one by one

/** Return the answers of all endpoints that take the row, by endpoint. */
export async function askAll(bundle, main, row) {
  const answers = {};
  const given = ({ name, default: value }) => name in row || value !== null;
  const names = bundle.manifest.endpoints
    .filter(({ inputs }) => inputs.some((t) => t.name === main.name) && inputs.every(given))
    .map((endpoint) => endpoint.name);
  for (const name of names) {
    if (name === "score" && names.includes("detect")) continue; // it answers the score as well
    answers[name] = await bundle.ask(name, row);
  }
  return answers;
}

export class View {
  /** @param white The value of white of the main input, or null where it is no picture. */
  constructor(bundle, main, white) {
    Object.assign(this, { bundle, main, white: white ?? high(main) });
    this.rank = main.shape.length;
  }

  /** Show the answers to a row. */
  show(row, answers) {
    const length = row.length?.[0] || undefined;
    const values = row[this.main.name];
    const scored = answers.detect ?? answers.score;
    const shown = [];
    if (answers.segment) shown.push(...this.#segments(values, answers.segment));
    else shown.push(...this.rows(values, answers.reconstruct?.reconstruction, scored?.error_map, length));
    byId("views").replaceChildren(...shown);
    byId("views").dataset.count = shown.length;
    this.#others(answers);
  }

  /** Return figures of a row, of what the model remembers of it, and of the error. */
  rows(values, reconstruction, errors, length) {
    const { shape } = this.main;
    if (this.rank === 3) {
      const figures = [picture(values, shape, { white: this.white, title: "input" })];
      if (reconstruction) figures.push(picture(reconstruction, shape, { white: this.white, title: "reconstruction" }));
      if (errors) figures.push(errorMap(errors, shape));
      return figures;
    }
    if (this.rank === 2) {
      const width = Math.max(byId("views").clientWidth, 240);
      const lines = reconstruction ? { input: values, reconstruction } : { input: values };
      return [seriesPlot(lines, shape, { length, errors, width })];
    }
    const columns = { input: values };
    if (reconstruction) columns.reconstruction = reconstruction;
    if (errors) columns.error = errors;
    return [numberTable(this.main.axes[0] ?? "place", columns, length ?? values.length)];
  }

  /** Return a figure of a row that the model made. */
  made(values, title) {
    if (this.rank === 3) return picture(values, this.main.shape, { white: this.white, title });
    if (this.rank === 2) {
      const width = Math.max(byId("latent-view").clientWidth, 240);
      return seriesPlot({ [title]: values }, this.main.shape, { width });
    }
    return numberTable(this.main.axes[0] ?? "place", { [title]: values }, values.length);
  }

  #segments(values, { mask, probabilities }) {
    const { shape } = this.main;
    const classes = probabilities.length / mask.length;
    const each = (number) => probabilities.filter((_, i) => i % classes === number);
    const shown = Array.from({ length: Math.min(classes, CLASSES) }, (_, number) => {
      const title = `class ${classes === 1 ? 1 : number}`;
      return heatmap(each(number), shape, { title, top: 1 });
    });
    return [
      element("div", { className: "pair" }, [
        picture(values, shape, { white: this.white, title: "input" }),
        masked(values, shape, mask, { white: this.white, title: "mask over the input" }),
      ]),
      legend(mask, Math.max(classes, 2)),
      element("div", {}, [element("h3", {}, ["Probability of each class"]), scaleBar(1)]),
      element("div", { className: "many" }, shown),
    ];
  }

  /** Describe what has no view of its own: codes, and endpoints that this page does not know. */
  #others(answers) {
    const lines = [];
    for (const [name, outputs] of Object.entries(answers)) {
      if (KNOWN.includes(name) && (name !== "encode" || this.bundle.spec("decode"))) continue;
      for (const tensor of this.bundle.spec(name).outputs) {
        lines.push(element("li", {}, [describe(name, tensor, outputs[tensor.name])]));
      }
    }
    byId("others").replaceChildren(...lines);
  }
}

function errorMap(errors, shape) {
  const [, top] = extent(errors);
  const made = heatmap(errors, shape, { title: "squared error", top });
  made.append(scaleBar(top));
  return made;
}

function describe(endpoint, tensor, values) {
  const numbers = Array.from(values, Number);
  const span = extent(numbers).map((value) => short(value)).join(" to ");
  const said = numbers.length <= 16
    ? numbers.map((value) => short(value)).join(", ")
    : `${numbers.length.toLocaleString("en")} numbers from ${span}`;
  return `${endpoint}, ${tensor.name.replaceAll("_", " ")}: ${said}`;
}

const high = ({ high: value }) => (Array.isArray(value) ? Math.max(...value) : value) ?? 1;
