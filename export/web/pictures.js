// Picture files as rows for the model, made as Python makes them.

import { Problem, arrayOf } from "./bundle.js";
import { resize } from "./resample.js";

/** Return the value of white in user units, or null where the input is no picture of 8 bits. */
export function whiteOf(spec, preprocessing) {
  const white = "white" in preprocessing ? preprocessing.white : spec.dtype === "uint8" ? 255 : null;
  const fits = spec.name === "image" && [1, 3].includes(spec.shape[2]);
  return fits ? white : null;
}

/** Say what happens to picture files. */
export function ruleText(spec, preprocessing) {
  const [height, width] = spec.shape;
  const fit = preprocessing.pictures?.fit ?? "crop";
  const done = {
    crop: `its shorter side is resized, the centre of ${width}×${height} pixels kept`,
    fit: `it is resized to ${width}×${height} pixels`,
    tile: `it is cut into tiles of ${width}×${height} pixels, not resized`,
  }[fit];
  return `As in training, ${done}.`;
}

/** Return the rows that a picture file becomes, and their names: several where it is tiled. */
export async function rowsOfFile(file, spec, preprocessing) {
  const [height, width, channels] = spec.shape;
  const picture = await decoded(file, channels);
  const fit = preprocessing.pictures?.fit ?? "crop";
  const scaled = (pixels) => pixelsToRow(pixels, spec, preprocessing);
  if (fit !== "tile") {
    const box = fit === "crop" ? centre(picture, width / height) : undefined;
    return { rows: [scaled(resize(picture, width, height, box).data)], names: [file.name] };
  }
  const [across, down] = [Math.floor(picture.width / width), Math.floor(picture.height / height)];
  if (!across || !down) {
    throw new Problem(
      `The picture has ${picture.width}×${picture.height} pixels; a tile needs ${width}×${height}.`,
    );
  }
  const found = { rows: [], names: [] };
  const left = Math.floor((picture.width - across * width) / 2);
  const top = Math.floor((picture.height - down * height) / 2);
  for (let y = top; y + height <= top + down * height; y += height) {
    for (let x = left; x + width <= left + across * width; x += width) {
      found.rows.push(scaled(cut(picture, x, y, width, height)));
      found.names.push(`${file.name}@${x},${y}`);
    }
  }
  return found;
}

/** Return 8-bit pixels in the dtype and the unit of the model's input. */
export function pixelsToRow(pixels, spec, preprocessing) {
  if (spec.dtype === "uint8") return arrayOf("uint8", pixels);
  const scale = Math.fround(whiteOf(spec, preprocessing) / 255);
  return Float32Array.from(pixels, (value) => value * scale);
}

async function decoded(file, channels) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new Problem(`${file.name || "The file"} is no picture that this browser can read.`);
  }
  const { width, height } = bitmap;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white"; // transparency is laid over white
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, channels, data: withChannels(data, channels) };
}

/** Return the pixels of a canvas (RGBA) as RGB, or as grey by the weights of ITU-R 601. */
export function withChannels(rgba, channels) {
  const pixels = new Uint8Array((rgba.length / 4) * channels);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += channels) {
    const [r, g, b] = [rgba[from], rgba[from + 1], rgba[from + 2]];
    if (channels === 1) pixels[to] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
    else pixels.set([r, g, b], to);
  }
  return pixels;
}

/** Return the largest box of this aspect around the centre, borders in fractions of pixels. */
function centre({ width, height }, aspect) {
  let [w, h] = [width, height];
  if (width / height > aspect) w = aspect * height;
  else if (width / height < aspect) h = width / aspect;
  const [x, y] = [(width - w) * 0.5, (height - h) * 0.5];
  return [x, y, x + w, y + h];
}

function cut(picture, x, y, width, height) {
  const c = picture.channels;
  const pixels = new Uint8Array(width * height * c);
  for (let line = 0; line < height; line++) {
    const start = ((y + line) * picture.width + x) * c;
    pixels.set(picture.data.subarray(start, start + width * c), line * width * c);
  }
  return pixels;
}
