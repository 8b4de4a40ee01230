// NumPy's .npz: a zip archive of .npy files, stored or deflated.

const DTYPES = {
  "|u1": Uint8Array, "|i1": Int8Array, "|b1": Uint8Array, "<i2": Int16Array, "<u2": Uint16Array,
  "<i4": Int32Array, "<u4": Uint32Array, "<i8": BigInt64Array, "<f4": Float32Array, "<f8": Float64Array,
};
const END = 0x06054b50; // signature of the zip's last record
const MEMBER = 0x02014b50;

/** Return `{name: {shape, data}}` of the bytes of an .npz file. */
export async function readNpz(bytes) {
  const arrays = {};
  for (const { name, content } of await members(bytes)) {
    arrays[name.replace(/\.npy$/, "")] = readNpy(content);
  }
  return arrays;
}

async function members(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = bytes.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== END) end--;
  if (end < 0) throw new Error("no zip archive");
  const found = [];
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (view.getUint32(at, true) !== MEMBER) throw new Error("damaged zip archive");
    const [method, size] = [view.getUint16(at + 10, true), view.getUint32(at + 20, true)];
    const [long, extra, comment] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + long));
    // The record in front of the content has lengths of its own.
    const head = view.getUint32(at + 42, true);
    const start = head + 30 + view.getUint16(head + 26, true) + view.getUint16(head + 28, true);
    const packed = bytes.subarray(start, start + size);
    found.push({ name, content: method === 0 ? packed.slice() : await inflated(packed) });
    at += 46 + long + extra + comment;
  }
  return found;
}

async function inflated(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function readNpy(bytes) {
  const view = new DataView(bytes.buffer);
  const wide = bytes[6] > 1; // format 2 and later count the header in four bytes
  const start = wide ? 12 : 10;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const header = new TextDecoder().decode(bytes.subarray(start, start + length));
  const [, dtype] = header.match(/'descr': '([^']+)'/) ?? [];
  const [, axes] = header.match(/'shape': \(([^)]*)\)/) ?? [];
  if (!DTYPES[dtype] || axes === undefined || header.includes("'fortran_order': True")) {
    throw new Error(`an array of another kind: ${header.trim()}`);
  }
  const shape = axes.split(",").filter((axis) => axis.trim()).map(Number);
  // A copy, because typed arrays must start at a multiple of their item's size.
  const data = new DTYPES[dtype](bytes.slice(start + length).buffer);
  return { shape, data };
}
