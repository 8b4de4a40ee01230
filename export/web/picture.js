// Rows as pictures on canvases: grey or colour, errors, masks; each with a caption.

import { SCALE, classColour, css, heat } from "./colour.js";
import { element, short } from "./page.js";

/** Return a figure of a picture of `[height, width, channels]` values; `white` is white. */
export function picture(values, shape, { white, title }) {
  const channels = shape[2] ?? 1;
  const level = (place, channel) => (values[place * channels + channel] / white) * 255;
  return figure(shape, title, (place) => (channels >= 3
    ? [level(place, 0), level(place, 1), level(place, 2)]
    : Array(3).fill(level(place, 0))));
}

/** Return a figure of `[height, width]` values from 0 to `top` in the colours of the scale. */
export function heatmap(values, shape, { title, top }) {
  return figure(shape, title, (place) => heat(values[place] / (top || 1)));
}

/** Return a figure of a picture with its mask over it. */
export function masked(values, shape, mask, { white, title, strength = 0.6 }) {
  const channels = shape[2] ?? 1;
  return figure(shape, title, (place) => {
    const pixel = [0, 1, 2].map((i) => (values[place * channels + (channels >= 3 ? i : 0)] / white) * 255);
    const colour = mask[place] ? classColour(mask[place]) : pixel;
    return pixel.map((value, i) => value + strength * (colour[i] - value));
  });
}

/** Return a list that names the colours of classes and their share of the picture. */
export function legend(mask, classes) {
  const counts = Array(classes).fill(0);
  mask.forEach((number) => counts[number]++);
  return element("ul", { className: "legend" }, counts.map((count, number) => {
    const swatch = element("span", { className: number ? "swatch" : "swatch none" });
    if (number) swatch.style.background = css(classColour(number));
    const share = ((100 * count) / mask.length).toFixed(1);
    return element("li", {}, [swatch, `class ${number}${number ? "" : ", not coloured"}: ${share} %`]);
  }));
}

function figure([height, width], title, colourAt) {
  const canvas = element("canvas", { width, height, role: "img", ariaLabel: title });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let place = 0; place < width * height; place++) {
    const [r, g, b] = colourAt(place);
    image.data.set([r, g, b, 255], place * 4); // clamped and rounded by the array
  }
  context.putImageData(image, 0, 0);
  canvas.style.aspectRatio = `${width} / ${height}`;
  canvas.classList.toggle("small", Math.max(width, height) < 200); // pixels stay squares
  return element("figure", {}, [canvas, element("figcaption", {}, [title])]);
}

/** Return the colours of a heatmap from 0 to `top`. */
export function scaleBar(top) {
  const bar = element("canvas", { width: 256, height: 1, className: "scale", ariaHidden: "true" });
  const image = bar.getContext("2d").createImageData(256, 1);
  SCALE.forEach((colour, i) => image.data.set([...colour, 255], i * 4));
  bar.getContext("2d").putImageData(image, 0, 0);
  const ends = element("div", { className: "ends" }, [
    element("span", {}, ["0"]), element("span", {}, [short(top)]),
  ]);
  return element("div", {}, [bar, ends]);
}
