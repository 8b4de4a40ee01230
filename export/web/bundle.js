// A bundle read over HTTP: its manifest, its files checked by sha256, and answers of its graphs.

import * as ort from "./ort.js";

/** What went wrong, for the user of the page. */
export class Problem extends Error {}

const NEWEST = 2; // schema_version of manifests
const ARRAYS = { float32: Float32Array, uint8: Uint8Array, int32: Int32Array, bool: Uint8Array };

/** Return an array of the dtype that a tensor of a manifest names. */
export function arrayOf(dtype, values) {
  if (!ARRAYS[dtype]) throw new Problem(`This page cannot hold ${dtype} values.`);
  return new ARRAYS[dtype](values);
}

/** Return the product of a shape. */
export const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);

const hex = (buffer) =>
  Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

async function sha256(bytes) {
  return hex(await crypto.subtle.digest("SHA-256", bytes));
}

export class Bundle {
  #files = new Map();
  #sessions = new Map();

  /** Read the manifest at `root`, an address that ends in a slash, and start the runtime. */
  static async open(root) {
    const bundle = new Bundle();
    bundle.root = root;
    // Browsers give crypto.subtle to https and to this machine only.
    bundle.checks = Boolean(globalThis.crypto?.subtle);
    const text = await bundle.#fetched("manifest.json").then((bytes) => new TextDecoder().decode(bytes));
    try {
      bundle.manifest = JSON.parse(text);
    } catch {
      throw new Problem("manifest.json is damaged. Export the bundle again, or fetch it again.");
    }
    if (!(bundle.manifest.schema_version <= NEWEST)) {
      throw new Problem(`A newer aezoo wrote this manifest: this page reads versions up to ${NEWEST}.`);
    }
    if (bundle.checks) {
      const { sha256: stated } = bundle.manifest;
      const found = await sha256(new TextEncoder().encode(text.replace(stated, "")));
      if (found !== stated) throw new Problem("manifest.json was changed after the export.");
    }
    ort.env.wasm.numThreads = 1; // threads need headers that a plain server does not send
    ort.env.wasm.wasmBinary = await bundle.file("web/ort.wasm");
    return bundle;
  }

  /** The endpoint of this name, or undefined. */
  spec(name) {
    return this.manifest.endpoints.find((spec) => spec.name === name);
  }

  /** Return the bytes of a listed file, checked. */
  file(name) {
    if (!this.#files.has(name)) {
      const reading = this.#checked(name);
      reading.catch(() => this.#files.delete(name)); // the next attempt asks the server again
      this.#files.set(name, reading);
    }
    return this.#files.get(name);
  }

  async #checked(name) {
    const record = this.manifest.files[name];
    if (!record) throw new Problem(`The manifest does not list ${name}, which is needed.`);
    const bytes = await this.#fetched(name);
    if (this.checks && (await sha256(bytes)) !== record.sha256) {
      throw new Problem(`${name} was changed after the export, so it is not asked. Fetch the bundle again.`);
    }
    return bytes;
  }

  async #fetched(name) {
    let answer;
    try {
      answer = await fetch(this.root + name, { cache: "no-cache" });
    } catch {
      throw new Problem(`${name} cannot be fetched: the server does not answer.`);
    }
    if (!answer.ok) throw new Problem(`${name} cannot be fetched: the server says ${answer.status}.`);
    return new Uint8Array(await answer.arrayBuffer());
  }

  #session(name) {
    if (!this.#sessions.has(name)) {
      const loading = this.#load(name);
      loading.catch(() => this.#sessions.delete(name));
      this.#sessions.set(name, loading);
    }
    return this.#sessions.get(name);
  }

  async #load(name) {
    const shared = "onnx/weights.bin"; // where graphs share their weights
    const externalData = shared in this.manifest.files
      ? [{ path: "weights.bin", data: await this.file(shared) }]
      : [];
    return ort.InferenceSession.create(await this.file(`onnx/${name}.onnx`), { externalData });
  }

  /**
   * Answer one row.
   * @param name The endpoint.
   * @param row Typed arrays without batch axis by public name; inputs with a default may be missing.
   * @returns Typed arrays without batch axis by public name.
   */
  async ask(name, row) {
    const spec = this.spec(name);
    const feeds = {};
    for (const { name: key, shape, dtype, default: value } of spec.inputs) {
      const dims = shape.map((size) => size ?? 1);
      if (row[key] === undefined && value === null) throw new Problem(`${name} needs ${key}.`);
      const data = row[key] ?? arrayOf(dtype, sizeOf(dims)).fill(value);
      feeds[key] = new ort.Tensor(dtype, data, [1, ...dims]);
    }
    const session = await this.#session(name);
    const answer = await session.run(feeds);
    return Object.fromEntries(spec.outputs.map((tensor) => [tensor.name, answer[tensor.name].data]));
  }
}
