// The page: opens the bundle around it and shows what the bundle offers.

import { View, askAll } from "./answer.js";
import { Bundle, Problem, arrayOf, sizeOf } from "./bundle.js";
import { describeBundle } from "./facts.js";
import { numberField, startOf } from "./field.js";
import { Latent } from "./latent.js";
import { readNpz } from "./npz.js";
import { byId, trying } from "./page.js";
import { Source } from "./source.js";
import { Verdict } from "./verdict.js";
import { whiteOf } from "./pictures.js";

const ROWS = ["image", "series", "features", "tokens"];
const page = { bundle: null, input: null, answers: null, latent: null, busy: false };
window.aezoo = page; // for the curious, and for tests

const started = await trying(start);
document.body.dataset.state = started ? "ready" : "broken";

async function start() {
  const bundle = await Bundle.open(new URL("../", document.baseURI).href);
  const examples = await rowsByName(bundle);
  page.bundle = bundle;
  describeBundle(bundle);
  const main = mainInput(bundle);
  const view = main && new View(bundle, main, whiteOf(main, bundle.manifest.preprocessing));
  const asking = main && prepareAsking(bundle, main, view, examples);
  byId("ask").hidden = byId("answer").hidden = !main;
  byId("loading").hidden = true;
  if (asking) await asking.begin();
  page.latent = prepareLatent(bundle, view, examples);
  return true;
}

/** Return the example rows of every input and code, `{name: [typed arrays]}`. */
async function rowsByName(bundle) {
  const arrays = await readNpz(await bundle.file("probe.npz")).catch((error) => {
    throw new Problem(`probe.npz cannot be read: ${error.message}.`);
  });
  const rows = {};
  for (const [key, { shape, data }] of Object.entries(arrays)) {
    const size = sizeOf(shape.slice(1));
    const [name] = key.split(".").slice(-1);
    rows[name] ??= Array.from({ length: shape[0] }, (_, i) => data.slice(i * size, (i + 1) * size));
  }
  return rows;
}

/** Return the input that rows enter by, as its first endpoint has it; undefined without one. */
function mainInput(bundle) {
  const firsts = bundle.manifest.endpoints.map((endpoint) => endpoint.inputs[0]);
  return firsts.find((tensor) => ROWS.includes(tensor.name))
    ?? firsts.find((tensor) => !["latent", "noise"].includes(tensor.name));
}

/** Connect the input to the answers; while one is made, later inputs wait and the last one wins. */
function prepareAsking(bundle, main, view, examples) {
  const row = {};
  const verdict = new Verdict(bundle, (threshold) => change({ threshold }));
  const numbers = prepareNumbers(bundle, main, (name, value) => change({ [name]: value }));
  for (const tensor of Object.values(numbers)) {
    if (tensor.default === null) row[tensor.name] = startOf(tensor);
  }
  const padded = "length" in numbers;
  const { origin } = bundle.manifest.probe;
  // Numbers that were drawn are none of the example rows' own.
  const own = Object.keys(numbers).filter((name) => origin[name] === origin[main.name]);
  let [running, waiting, settled] = [false, false, null];

  async function change(parts) {
    Object.assign(row, parts);
    waiting = true;
    if (running || !row[main.name]) return;
    running = page.busy = true;
    while (waiting) {
      waiting = false;
      const asked = { ...row };
      await trying(async () => {
        const answers = await askAll(bundle, main, asked);
        view.show(asked, answers);
        verdict.show(answers.detect ?? answers.score);
        const { name, dtype, shape } = main;
        page.input = { name, dtype, shape, data: Array.from(asked[name]) };
        page.asked = asked;
        page.answers = answers;
        page.latent?.follow(page.latent.following);
      });
    }
    running = page.busy = false;
  }

  const begin = async () => {
    new Source({
      spec: main,
      preprocessing: bundle.manifest.preprocessing,
      padded,
      examples: examples[main.name],
      besides: examples[main.name].map((_, i) => Object.fromEntries(own.map((name) => [name, examples[name][i][0]]))),
      onRow: (values, beside) => {
        const parts = { [main.name]: values };
        for (const [name, tensor] of Object.entries(numbers)) {
          const value = beside[name] ?? (name === "length" ? tensor.default : null);
          if (value === null) continue; // it stays what it was
          byId(`input-${name}`).value = value;
          parts[name] = arrayOf(tensor.dtype, [value]);
        }
        settled = change(parts);
      },
    });
    await settled;
  };
  // Charts are drawn in pixels of the screen.
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width && page.answers) view.show(page.asked, page.answers);
    width = innerWidth;
  });
  return { begin, row };
}

/** Make a field for every number beside the row, but the threshold; return their specs by name. */
function prepareNumbers(bundle, main, onChange) {
  const beside = bundle.manifest.endpoints
    .filter((endpoint) => endpoint.inputs.some((tensor) => tensor.name === main.name))
    .flatMap((endpoint) => endpoint.inputs)
    .filter(({ name, shape }) => ![main.name, "threshold"].includes(name) && sizeOf(shape) === 1);
  const specs = Object.fromEntries(beside.map((tensor) => [tensor.name, tensor]));
  for (const tensor of Object.values(specs)) {
    byId("beside").append(numberField(tensor, `input-${tensor.name}`, (value) => onChange(tensor.name, value)));
  }
  return specs;
}

function prepareLatent(bundle, view, examples) {
  const endpoint = bundle.spec("decode") ?? bundle.spec("generate");
  byId("latent").hidden = !endpoint;
  if (!endpoint) return null;
  const [output] = endpoint.outputs;
  const shown = view ?? new View(bundle, output, null);
  byId("walk").classList.toggle("pictures", shown.rank === 3);
  const [code] = endpoint.inputs;
  const encodes = bundle.spec("encode")?.outputs.some(({ name }) => name === code.name);
  return new Latent({
    bundle,
    endpoint,
    codes: examples[code.name] ?? [],
    encode: encodes ? () => page.answers?.encode && { ...page.asked, ...page.answers.encode } : null,
    normal: Boolean(bundle.spec("generate")),
    show: (answer, asked) => {
      byId("latent-view").replaceChildren(shown.made(answer[output.name], "made from this code"));
      const beside = endpoint.inputs.slice(1).map(({ name }) => [name, asked[name][0]]);
      page.made = {
        code: Array.from(asked[code.name]),
        beside: Object.fromEntries(beside),
        data: Array.from(answer[output.name]),
      };
    },
  });
}
