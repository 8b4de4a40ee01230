// Answers the cases of a JSON file with onnxruntime-node: node ask.mjs PACKAGE CASES ANSWERS
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [, , folder, cases, answers] = process.argv;
const ort = createRequire(join(folder, "package.json"))("onnxruntime-node");
const arrays = { float32: Float32Array, uint8: Uint8Array, int32: Int32Array, bool: Uint8Array };

const told = [];
for (const { graph, inputs } of JSON.parse(readFileSync(cases, "utf8"))) {
  const session = await ort.InferenceSession.create(graph);
  const feeds = Object.fromEntries(inputs.map(({ name, dtype, shape, values }) => [
    name, new ort.Tensor(dtype, arrays[dtype].from(values), shape),
  ]));
  const answer = await session.run(feeds);
  told.push(Object.fromEntries(Object.entries(answer).map(([name, { type, dims, data }]) => [
    name, { dtype: type, shape: dims, values: Array.from(data, Number) },
  ])));
}
writeFileSync(answers, JSON.stringify(told));
