// Elements that show an answer. Each reads its own fields of it and stays empty until there is one.

import { make } from "./asking.js";

const MOST = 10; // labels and rows that are listed
const COLOURS = ["#0662d0", "#d0420a", "#0b7a55", "#b3327f", "#7a5a00", "#6a4fd8"];

const percent = (share) => `${(100 * share).toFixed(1)} %`;

class Output extends HTMLElement {
  connectedCallback() {
    this.setAttribute("aria-live", "polite");
    this.empty();
    document.addEventListener("forget", () => this.empty());
    document.addEventListener("answer", (e) => this.replaceChildren(...this.shown(e.detail)));
  }

  empty() {
    this.replaceChildren(make("p", { className: "hint", textContent: "The answer appears here." }));
  }
}

/** `label`, or `labels` where there may be several, the share of each in `probabilities`, and how a text was
 * `cut`, if it was too long. */
class LabelOutput extends Output {
  shown(answer) {
    const shares = Object.entries(answer.probabilities ?? {}).sort((a, b) => b[1] - a[1]);
    const rows = shares.slice(0, MOST).map(([label, share], i) => {
      const bar = make("i");
      bar.style.width = `${100 * share}%`;
      return make("div", { className: i ? "share" : "share first" },
        make("span", { textContent: label, title: label }), make("div", {}, bar), make("span", { textContent: percent(share) }));
    });
    const more = shares.length - rows.length;
    const told = answer.label ?? ((answer.labels ?? []).join(", ") || "none");
    return [make("div", { className: "answer", textContent: told }), make("div", { className: "shares" }, ...rows),
      ...(more > 0 ? [make("p", { className: "hint", textContent: `and ${more} more` })] : []),
      ...(answer.cut ? [make("p", { className: "hint", textContent: answer.cut })] : [])];
  }
}

/** `value`, a number, and the `name` of what it is. */
class ValueOutput extends Output {
  shown(answer) {
    const text = Number(answer.value).toLocaleString("en", { maximumSignificantDigits: 6 });
    return [...(answer.name ? [make("p", { className: "hint", textContent: answer.name })] : []),
      make("div", { className: "answer", textContent: text })];
  }
}

/** A text: the field of the answer that the attribute `field` names. */
class TextOutput extends Output {
  shown(answer) {
    const { model, [this.getAttribute("field") ?? "text"]: text, ...others } = answer;
    const notes = Object.entries(others).filter(([, value]) => typeof value !== "object");
    return [make("pre", { className: "text", textContent: text }),
      make("p", { className: "hint", textContent: notes.map(([name, value]) => `${name} ${value}`).join(", ") })];
  }
}

class JsonOutput extends Output {
  shown(answer) {
    return [make("pre", { textContent: JSON.stringify(answer, null, 1) })];
  }
}

/** Pictures as base64 text of PNG files, one or a list. */
class ImagesOutput extends Output {
  shown(answer) {
    const given = [answer[this.getAttribute("field") ?? "images"]].flat();
    const images = given.map((image, i) => make("img", { src: `data:image/png;base64,${image}`, alt: `picture ${i + 1}` }));
    return [make("div", { className: images.length > 1 ? "images" : "images one" }, ...images)];
  }
}

/** The picture that was sent with the `boxes` that were found in it, and a list of them. */
class BoxesOutput extends Output {
  connectedCallback() {
    super.connectedCallback();
    document.addEventListener("picture", (e) => { this.picture = e.detail; });
  }

  shown(answer) {
    const found = answer.boxes ?? [];
    const canvas = make("canvas", { className: "scene", width: 1, height: 1 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "the picture with what was found");
    if (this.picture) this.draw(canvas, found);
    const rows = found.slice(0, MOST).map(({ label, score }) => make("tr", {}, make("td", {}, String(label)), make("td", {}, percent(score))));
    return [make("p", { className: "hint", textContent: found.length ? `${found.length} found` : "nothing found" }), canvas,
      make("table", {}, make("tbody", {}, ...rows))];
  }

  async draw(canvas, found) {
    const image = await createImageBitmap(this.picture).catch(() => null);
    if (!image) return; // a format that this browser cannot show
    const pen = Object.assign(canvas, { width: image.width, height: image.height }).getContext("2d");
    const unit = Math.max(1, image.width / 320);
    const labels = [...new Set(found.map(({ label }) => label))];
    pen.drawImage(image, 0, 0);
    Object.assign(pen, { lineWidth: 2 * unit, font: `600 ${12 * unit}px system-ui, sans-serif`, textBaseline: "top" });
    for (const { box: [left, top, right, bottom], label, score } of found) {
      pen.fillStyle = pen.strokeStyle = COLOURS[labels.indexOf(label) % COLOURS.length];
      pen.strokeRect(left, top, right - left, bottom - top);
      const text = `${label} ${(100 * score).toFixed(0)} %`;
      const high = Math.max(0, top - 16 * unit);
      pen.fillRect(left - unit, high, pen.measureText(text).width + 6 * unit, 16 * unit);
      pen.fillStyle = "#fff";
      pen.fillText(text, left + 2 * unit, high + 2 * unit);
    }
  }
}

export const OUTPUTS = {
  "label-output": LabelOutput, "value-output": ValueOutput, "text-output": TextOutput, "json-output": JsonOutput,
  "images-output": ImagesOutput, "boxes-output": BoxesOutput,
};
