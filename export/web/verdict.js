// The score, and where the bundle decides, its threshold and the decision.

import { arrayOf } from "./bundle.js";
import { byId, short } from "./page.js";

export class Verdict {
  /** @param onThreshold Called with the threshold that the user chose, float32. */
  constructor(bundle, onThreshold) {
    const scored = bundle.spec("detect") ?? bundle.spec("score");
    byId("verdict").hidden = !scored;
    const detect = bundle.spec("detect");
    byId("gauge").hidden = byId("decision").hidden = !detect;
    const means = scored?.outputs.find((tensor) => tensor.name === "score").description ?? "";
    byId("score-means").textContent = means.charAt(0).toLowerCase() + means.slice(1).replace(/\.$/, "");
    if (!detect) return;
    this.default = detect.inputs.find((tensor) => tensor.name === "threshold").default;
    this.slider = byId("threshold");
    this.slider.max = 2 * this.default || 1;
    this.slider.value = this.default;
    this.#said();
    this.slider.addEventListener("input", () => {
      this.#said();
      onThreshold(this.threshold);
    });
    byId("calibrated").textContent = `Calibrated: ${short(this.default)}`;
    byId("calibrated").addEventListener("click", () => {
      this.slider.value = this.default;
      this.#said();
      onThreshold(arrayOf("float32", [this.default]));
    });
  }

  get threshold() {
    return arrayOf("float32", [this.slider.value]);
  }

  /** Show the answer of `detect` or `score`; nothing where there is neither. */
  show(answer) {
    if (!answer) return;
    const [score] = answer.score;
    byId("score").textContent = short(score);
    byId("score").dataset.value = score;
    if (!answer.anomalous) return;
    const anomalous = Boolean(answer.anomalous[0]);
    byId("decision").dataset.anomalous = anomalous;
    byId("decision").textContent = anomalous ? "anomalous" : "normal";
    this.slider.max = Math.max(2 * this.default, 1.25 * score, this.slider.value);
    byId("gauge").style.setProperty("--score", Math.min(score / this.slider.max, 1));
    this.#said();
  }

  #said() {
    byId("threshold-value").textContent = short(Number(this.slider.value));
    byId("gauge").style.setProperty("--threshold", this.slider.value / this.slider.max);
  }
}
