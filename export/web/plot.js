// Series as lines, one chart per channel, and the error by step: SVG in the page's own colours.

import { element, extent, short } from "./page.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const [LEFT, RIGHT, TOP, BOTTOM] = [52, 8, 8, 22];
const MOST = 8; // charts of channels

/**
 * Return charts of a series `[steps, channels]`.
 * @param lines `{name: values}`; the first is drawn behind the others.
 * @param shape Steps and channels.
 * @param length How many steps are valid; the rest is not drawn.
 * @param errors One number per step, or undefined.
 */
export function seriesPlot(lines, [steps, channels], { length = steps, errors, width }) {
  const names = Object.keys(lines);
  const parts = names.length > 1 ? [key(names)] : [];
  for (let channel = 0; channel < Math.min(channels, MOST); channel++) {
    const drawn = names.map((name) => Array.from({ length }, (_, t) => lines[name][t * channels + channel]));
    const title = channels > 1 ? `channel ${channel}` : "value by step";
    parts.push(chart(title, drawn, { steps, width, height: channels > 3 ? 110 : 160 }));
  }
  if (channels > MOST) parts.push(element("p", { className: "quiet" }, [`The first ${MOST} of ${channels} channels.`]));
  if (errors) {
    parts.push(chart("error by step", [Array.from(errors.subarray(0, length))], { steps, width, height: 100, bars: true }));
  }
  return element("div", { className: "charts" }, parts);
}

function key(names) {
  return element("ul", { className: "legend" }, names.map((name, i) =>
    element("li", {}, [element("span", { className: `stroke line${i}` }), name])));
}

function chart(title, drawn, { steps, width, height, bars = false }) {
  const [smallest, largest] = extent(drawn.flat());
  let [low, high] = [bars ? 0 : smallest, largest];
  if (!(high > low)) [low, high] = bars ? [0, 1] : [low - 1, low + 1];
  const x = (t) => LEFT + ((t + (bars ? 0.5 : 0)) / Math.max(bars ? steps : steps - 1, 1)) * (width - LEFT - RIGHT);
  const y = (value) => TOP + ((high - value) / (high - low)) * (height - TOP - BOTTOM);
  // As many decimals as tell a hundredth of the range.
  const decimals = Math.min(Math.max(Math.ceil(2 - Math.log10(high - low)), 0), 8);
  const rounded = (value) => value.toFixed(decimals).replace(/^-(?=[0.]*$)/, ""); // no -0.00
  const tick = Math.max(-low, high) < 1e5 ? rounded : short;
  const label = `${title}: ${short(smallest)} to ${short(largest)}`;
  const made = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
  for (const value of [low, (low + high) / 2, high]) {
    made.append(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
    made.append(text(tick(value), { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }));
  }
  made.append(text("0", { x: x(0), y: height - 6, "text-anchor": "middle" }));
  made.append(text(String(steps - 1), { x: x(steps - 1), y: height - 6, "text-anchor": bars ? "middle" : "end" }));
  const broad = Math.max((width - LEFT - RIGHT) / steps - 1, 1);
  drawn.forEach((line, i) => {
    if (bars) {
      line.forEach((value, t) => made.append(svg("rect", {
        class: "bar", x: x(t) - broad / 2, y: y(value), width: broad, height: Math.max(y(0) - y(value), 0),
      })));
    } else {
      made.append(svg("polyline", { class: `line${i}`, points: line.map((v, t) => `${x(t)},${y(v)}`).join(" ") }));
    }
  });
  return element("figure", {}, [element("figcaption", {}, [title]), made]);
}

function svg(name, attributes) {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function text(content, attributes) {
  const made = svg("text", attributes);
  made.textContent = content;
  return made;
}
