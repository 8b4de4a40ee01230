// A pad to draw on, in the model's own pixels: what is seen is what the model is asked.

import { withChannels } from "./pictures.js";
import { byId } from "./page.js";

export class Pad {
  /**
   * @param shape Height, width, channels.
   * @param onChange Called with the 8-bit pixels after each stroke's step.
   */
  constructor([height, width, channels], onChange) {
    Object.assign(this, { height, width, channels, onChange, last: null });
    this.canvas = byId("pad");
    Object.assign(this.canvas, { width, height });
    this.canvas.style.aspectRatio = `${width} / ${height}`;
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.paper = [0, 0, 0];
    byId("pen-colour").closest("label").hidden = channels === 1;
    byId("pen-grey").closest("label").hidden = channels !== 1;
    byId("pen-width").max = Math.max(4, Math.ceil(Math.min(width, height) / 4));
    byId("pen-width").value = Math.max(2, Math.round(Math.min(width, height) / 14));
    this.canvas.addEventListener("pointerdown", (event) => this.#start(event));
    this.canvas.addEventListener("pointermove", (event) => this.last && this.#stroke(event));
    for (const end of ["pointerup", "pointercancel"]) {
      this.canvas.addEventListener(end, () => (this.last = null));
    }
    byId("clear").addEventListener("click", () => this.clear());
  }

  /** Show the 8-bit pixels of a row; its border tells the colour of an empty pad. */
  show(pixels) {
    const image = this.context.createImageData(this.width, this.height);
    const c = this.channels;
    for (let place = 0; place < this.width * this.height; place++) {
      const pixel = [0, 1, 2].map((i) => pixels[place * c + (c === 1 ? 0 : i)]);
      image.data.set([...pixel, 255], place * 4);
    }
    this.context.putImageData(image, 0, 0);
  }

  /** Take the colour of an empty pad, and a pen that is seen on it, from a row. */
  matchPaper(pixels) {
    const top = pixels.slice(0, this.width * this.channels);
    const middle = (values) => values.sort()[values.length >> 1];
    const channel = (i) => middle(top.filter((_, at) => at % this.channels === i));
    this.paper = [0, 1, 2].map((i) => channel(this.channels === 1 ? 0 : i));
    const dark = this.paper[1] < 128;
    byId("pen-grey").value = dark ? 255 : 0;
    byId("pen-colour").value = dark ? "#ffffff" : "#000000";
  }

  clear() {
    this.context.fillStyle = `rgb(${this.paper.join(" ")})`;
    this.context.fillRect(0, 0, this.width, this.height);
    this.#changed();
  }

  #start(event) {
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.#place(event);
    this.#stroke(event);
  }

  #stroke(event) {
    const to = this.#place(event);
    const grey = byId("pen-grey").value;
    const { context } = this;
    context.strokeStyle = this.channels === 1 ? `rgb(${grey} ${grey} ${grey})` : byId("pen-colour").value;
    context.lineWidth = Number(byId("pen-width").value);
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...this.last);
    context.lineTo(to[0] + 0.01, to[1]); // a line of no length would leave no dot
    context.stroke();
    this.last = to;
    this.#changed();
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * this.width,
      ((event.clientY - box.top) / box.height) * this.height,
    ];
  }

  #changed() {
    const { data } = this.context.getImageData(0, 0, this.width, this.height);
    this.onChange(withChannels(data, this.channels));
  }
}
