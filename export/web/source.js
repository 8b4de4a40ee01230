// Where rows come from: the bundle's own examples, files, a drawing, pasted numbers.

import { Pad } from "./draw.js";
import { rowsOfText, textOfRow, wanted } from "./numbers.js";
import { byId, element, say, trying } from "./page.js";
import { picture } from "./picture.js";
import { pixelsToRow, rowsOfFile, ruleText, whiteOf } from "./pictures.js";

const MOST = 60; // rows offered as buttons

export class Source {
  /**
   * @param spec The main input.
   * @param padded Whether rows may be short, with their length beside them.
   * @param examples Typed arrays, one per row, from probe.npz.
   * @param besides Of each example the numbers beside it, by name.
   * @param onRow Called with a row and the numbers beside it; a length of null: whole.
   */
  constructor({ spec, preprocessing, padded, examples, besides, onRow }) {
    Object.assign(this, { spec, preprocessing, padded, examples, besides, onRow });
    this.white = whiteOf(spec, preprocessing);
    this.row = null;
    const modes = { example: true, file: true, draw: this.white !== null, paste: this.white === null };
    for (const [mode, offered] of Object.entries(modes)) {
      const choice = byId(`mode-${mode}`);
      choice.closest("label").hidden = !offered;
      choice.addEventListener("change", () => this.#turn(mode));
    }
    this.#listenForFiles();
    if (this.white === null) this.#listenForText();
    else this.#prepareDrawing();
    this.offerExamples();
  }

  offerExamples() {
    const names = this.examples.map((_, i) => `example ${i}`);
    this.offer(this.examples, names, this.besides);
  }

  /** Show buttons for rows and take the first. */
  offer(rows, names, besides = []) {
    const strip = byId("rows");
    const buttons = rows.slice(0, MOST).map((row, i) => {
      const button = element("button", { type: "button", ariaLabel: names[i], title: names[i] }, [this.#face(row, i)]);
      button.addEventListener("click", () => {
        buttons.forEach((other) => other.setAttribute("aria-pressed", other === button));
        this.take(row, besides[i]);
      });
      return button;
    });
    strip.replaceChildren(...buttons);
    strip.classList.toggle("pictures", this.white !== null);
    byId("more-rows").hidden = rows.length <= MOST;
    byId("more-rows").textContent = `The first ${MOST} of ${rows.length} rows; aezoo predict answers all.`;
    buttons[0]?.click();
  }

  #face(row, i) {
    if (this.white === null) return String(i);
    return picture(row, this.spec.shape, { white: this.white, title: "" }).firstChild;
  }

  take(row, beside = {}) {
    this.row = row;
    if (this.white === null) byId("numbers").value = textOfRow(this.#valid(row, beside.length), this.spec);
    this.onRow(row, beside);
  }

  #valid(row, length) {
    return !length ? row : row.subarray(0, (length * row.length) / this.spec.shape[0]);
  }

  #turn(mode) {
    for (const pane of document.querySelectorAll("[data-pane]")) {
      pane.hidden = pane.dataset.pane !== mode;
    }
    byId("rows").hidden = mode !== "example" && !(mode === "file" && this.found);
    say(null);
    if (mode === "example") this.offerExamples();
    if (mode === "file" && this.found) this.offer(this.found.rows, this.found.names, this.found.besides);
    if (mode === "draw") this.pad.show(this.#pixels(this.row));
  }

  // ---- files ----

  #listenForFiles() {
    const input = byId("file");
    input.accept = this.white === null ? ".csv,.tsv,.txt" : "image/*";
    byId("rule").textContent = this.white === null
      ? wanted(this.spec, this.padded)
      : `${ruleText(this.spec, this.preprocessing)} Resizing gives the pixels that Python gives; how `
        + "the browser decodes JPEG, transparency or more than 8 bits can differ by a level.";
    input.addEventListener("change", () => input.files.length && this.#open(input.files[0]));
    const target = byId("ask");
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      target.classList.add("dropping");
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) target.classList.remove("dropping");
    });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      target.classList.remove("dropping");
      if (event.dataTransfer.files.length) this.#open(event.dataTransfer.files[0]);
    });
  }

  #open(file) {
    return trying(async () => {
      byId("file").value = ""; // the same file may be chosen again
      this.found = this.white === null
        ? this.#read(await file.text())
        : await rowsOfFile(file, this.spec, this.preprocessing);
      byId("file-name").textContent = file.name;
      byId("mode-file").checked = true;
      this.#turn("file");
    });
  }

  // ---- numbers ----

  #listenForText() {
    byId("numbers-help").textContent = wanted(this.spec, this.padded);
    byId("use-numbers").addEventListener("click", () => trying(() => {
      const { rows, names, besides } = this.#read(byId("numbers").value);
      const text = byId("numbers").value;
      this.offer(rows, names, besides);
      byId("numbers").value = text; // as it was written
      byId("rows").hidden = rows.length < 2;
    }));
  }

  #read(text) {
    const { rows, lengths } = rowsOfText(text, this.spec, this.padded);
    return { rows, besides: lengths?.map((length) => ({ length })), names: rows.map((_, i) => `row ${i}`) };
  }

  // ---- drawing ----

  #prepareDrawing() {
    this.pad = new Pad(this.spec.shape, (pixels) => {
      this.row = pixelsToRow(pixels, this.spec, this.preprocessing);
      this.onRow(this.row, null);
    });
    this.pad.matchPaper(this.#pixels(this.examples[0]));
  }

  #pixels(row) {
    return Uint8ClampedArray.from(row, (value) => (value * 255) / this.white);
  }
}
