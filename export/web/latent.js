// A walk through the codes: sliders, and the picture or series that follows.

import { arrayOf, sizeOf } from "./bundle.js";
import { numberField, startOf } from "./field.js";
import { CodeMap } from "./map.js";
import { byId, element, short, trying } from "./page.js";

const SHOWN = 16;

export class Latent {
  /**
   * @param endpoint The spec of `decode` or `generate`.
   * @param codes Codes of example rows (typed arrays), to place the ranges; may be empty.
   * @param encode Returns the current input's code and what stands beside it, by name; null where
   *   codes have no input.
   * @param show Called with the answer and what was asked.
   * @param normal Whether codes are draws from N(0, I).
   */
  constructor({ bundle, endpoint, codes, encode, show, normal }) {
    Object.assign(this, { bundle, endpoint, codes, encode, show, normal });
    [this.spec, ...this.others] = endpoint.inputs;
    this.whole = this.spec.dtype !== "float32"; // codes that are numbers of a table
    this.size = sizeOf(this.spec.shape);
    this.code = arrayOf(this.spec.dtype, this.size);
    this.beside = Object.fromEntries(this.others.map((one) => [one.name, startOf(one)]));
    this.#build();
    if (this.size === 2) {
      this.map = new CodeMap([this.#range(0), this.#range(1)], codes, (code) => this.set(code));
    }
    byId("encode").hidden = !encode;
    byId("encode").addEventListener("click", () => this.follow(true));
    byId("random").addEventListener("click", () => this.set(this.#draw()));
    byId("zero").addEventListener("click", () => this.set(arrayOf(this.spec.dtype, this.size)));
    this.follow(true);
    if (!this.following) this.set(this.code);
  }

  /** Set the sliders to the input's code, and go with it until one of them is moved. */
  follow(wanted) {
    const seen = wanted && this.encode?.();
    this.following = Boolean(seen);
    byId("encode").setAttribute("aria-pressed", this.following);
    if (!seen) return;
    for (const { name } of this.others.filter((one) => one.name in seen)) {
      this.beside[name] = seen[name];
      byId(`code-${name}`).value = seen[name][0];
    }
    this.set(seen[this.spec.name], true);
  }

  set(code, following = false) {
    if (!following) this.follow(false);
    this.code = arrayOf(this.spec.dtype, code);
    this.sliders.forEach((slider, i) => this.#place(slider, code[i]));
    this.map?.mark(this.code);
    this.#ask();
  }

  #build() {
    for (const one of this.others) {
      byId("code-beside").append(numberField(one, `code-${one.name}`, (value) => {
        this.follow(false);
        this.beside[one.name] = value;
        this.#ask();
      }));
    }
    this.sliders = Array.from({ length: Math.min(this.size, SHOWN) }, (_, i) => {
      const [low, high] = this.#range(i);
      const slider = element("input", { type: "range", min: low, max: high, step: this.whole ? 1 : "any", id: `code-${i}` });
      slider.addEventListener("input", () => {
        this.follow(false);
        this.code[i] = slider.value;
        slider.nextSibling.textContent = short(this.code[i], 3);
        this.map?.mark(this.code);
        this.#ask();
      });
      const label = element("label", { htmlFor: slider.id }, [this.#name(i)]);
      byId("sliders").append(element("div", { className: "slider" }, [label, slider, element("output")]));
      return slider;
    });
    const rest = this.size - this.sliders.length;
    byId("latent-note").textContent = [
      rest ? `The first ${SHOWN} of ${this.size} numbers; the others keep their values.` : "",
      `Random draws: ${this.#drawn()}.`,
    ].join(" ").trim();
  }

  #place(slider, value) {
    slider.min = Math.min(slider.min, value); // a code may lie outside of the range
    slider.max = Math.max(slider.max, value);
    slider.value = value;
    slider.nextSibling.textContent = short(value, 3);
  }

  #name(i) {
    if (this.spec.shape.length === 1) return `${this.spec.name} ${i}`;
    const places = [];
    for (let rest = i, axis = this.spec.shape.length - 1; axis >= 0; axis--) {
      places.unshift(rest % this.spec.shape[axis]);
      rest = Math.floor(rest / this.spec.shape[axis]);
    }
    return `${this.spec.name} ${places.join(",")}`;
  }

  /** Return the declared range, widened to the codes of examples. */
  #range(i) {
    const side = (value, none) => (Array.isArray(value) ? value[i % value.length] : value) ?? none;
    const seen = this.codes.map((code) => code[i]);
    return [Math.min(side(this.spec.low, -3), ...seen), Math.max(side(this.spec.high, 3), ...seen)];
  }

  #drawn() {
    if (this.whole) return "each number as likely as any";
    return this.normal ? "N(0, 1)" : "around the codes of the examples";
  }

  #draw() {
    if (this.whole) {
      return Array.from({ length: this.size }, (_, i) => {
        const [low, high] = this.#range(i);
        return low + Math.floor(Math.random() * (high - low + 1));
      });
    }
    const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
    return Float32Array.from({ length: this.size }, (_, i) => {
      if (this.normal || !this.codes.length) return normal();
      const seen = this.codes.map((code) => code[i]);
      const mean = seen.reduce((a, b) => a + b, 0) / seen.length;
      const spread = Math.sqrt(seen.reduce((sum, v) => sum + (v - mean) ** 2, 0) / seen.length);
      return mean + spread * normal();
    });
  }

  /** Answer the sliders; while one answer is made, later positions wait and the last one wins. */
  async #ask() {
    this.waiting = true;
    if (this.running) return;
    this.running = true;
    while (this.waiting) {
      this.waiting = false;
      const asked = { ...this.beside, [this.spec.name]: this.code.slice() };
      const answer = await trying(() => this.bundle.ask(this.endpoint.name, asked), { quiet: true });
      if (answer) this.show(answer, asked);
    }
    this.running = false;
  }
}
