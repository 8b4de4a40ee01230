// A code of two numbers is a place: a map to point at, with the examples' codes on it.

import { byId } from "./page.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const SIDE = 200;

export class CodeMap {
  /**
   * @param ranges Smallest and largest value of both numbers.
   * @param codes Codes of the examples.
   * @param onMove Called with the code that is pointed at.
   */
  constructor(ranges, codes, onMove) {
    this.ranges = ranges;
    this.map = byId("map");
    this.map.closest("figure").hidden = false;
    for (const code of codes) this.#dot(code, "example", 3);
    this.here = this.#dot(codes[0] ?? [0, 0], "here", 6);
    const point = (event) => onMove(this.#code(event));
    this.map.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      this.map.setPointerCapture(event.pointerId);
      point(event);
    });
    this.map.addEventListener("pointermove", (event) => event.buttons && point(event));
  }

  /** Move the mark. */
  mark(code) {
    const [x, y] = this.#place(code);
    this.here.setAttribute("cx", x);
    this.here.setAttribute("cy", y);
  }

  #dot(code, name, radius) {
    const dot = document.createElementNS(NAMESPACE, "circle");
    const [x, y] = this.#place(code);
    for (const [key, value] of Object.entries({ class: name, cx: x, cy: y, r: radius })) dot.setAttribute(key, value);
    this.map.append(dot);
    return dot;
  }

  #place(code) {
    const share = (i) => (code[i] - this.ranges[i][0]) / (this.ranges[i][1] - this.ranges[i][0]);
    return [share(0) * SIDE, (1 - share(1)) * SIDE];
  }

  #code(event) {
    const box = this.map.getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width;
    const up = 1 - (event.clientY - box.top) / box.height;
    const at = ([low, high], share) => low + (high - low) * Math.min(Math.max(share, 0), 1);
    return [at(this.ranges[0], across), at(this.ranges[1], up)];
  }
}
