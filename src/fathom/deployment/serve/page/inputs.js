// Elements that take an item from a person: a picture, a text, numbers, a row of a table, or JSON.

import { ask, askJson, described, forget, give, make, say } from "./asking.js";

const PAD = 280; // pixels of the drawing that is sent
const PEN = 20;
const PAUSE = 120; // milliseconds without a stroke after which a drawing is sent
const STEPS = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] };

/** A picture: drawn with mouse, finger or keys (attribute `draw`), dropped, pasted or chosen. */
class ImageInput extends HTMLElement {
  connectedCallback() {
    const draws = this.hasAttribute("draw");
    this.preview = make("img", { className: "preview", alt: "the picture that was given", hidden: true });
    this.buttons = make("div", { className: "buttons" });
    if (draws) this.append(this.pad());
    this.append(this.preview, this.buttons);
    if (draws) this.buttons.append(make("button", { className: "quiet", textContent: "Clear", onclick: () => this.clear() }));
    this.buttons.append(this.chooser());
    this.append(make("p", { className: "hint", textContent: draws
      ? "Draw, or drop, paste or choose a picture." : "Drop, paste or choose a picture." }));
    this.listen();
  }

  chooser() {
    const file = make("input", { type: "file", accept: "image/*" });
    file.onchange = () => { if (file.files[0]) this.take(file.files[0]); file.value = ""; };
    return make("label", { className: "button quiet" }, "Choose a picture", file);
  }

  listen() {
    this.addEventListener("dragover", (e) => { e.preventDefault(); this.classList.add("over"); });
    this.addEventListener("dragleave", () => this.classList.remove("over"));
    this.addEventListener("drop", (e) => {
      e.preventDefault();
      this.classList.remove("over");
      if (e.dataTransfer.files[0]) this.take(e.dataTransfer.files[0]);
    });
    document.addEventListener("paste", (e) => { if (e.clipboardData.files[0]) this.take(e.clipboardData.files[0]); });
  }

  // --- drawing ---------------------------------------------------------------------------------
  pad() {
    const canvas = make("canvas", { className: "pad", width: PAD, height: PAD, tabIndex: 0 });
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", "Drawing pad. Arrow keys move the pen, space puts it down or lifts it.");
    this.pen = canvas.getContext("2d");
    this.wipe();
    let last = null;
    const place = (e) => {
      const box = canvas.getBoundingClientRect();
      return [((e.clientX - box.left) * PAD) / box.width, ((e.clientY - box.top) * PAD) / box.height];
    };
    canvas.addEventListener("pointerdown", (e) => {
      if (e.button) return;
      canvas.setPointerCapture(e.pointerId);
      last = place(e);
      this.line(last, last);
    });
    canvas.addEventListener("pointermove", (e) => { if (last) this.line(last, (last = place(e))); });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { last = null; });
    const dot = make("i", { className: "pen" });
    this.keys(canvas, dot);
    return make("div", { className: "board" }, canvas, dot);
  }

  keys(canvas, dot) {
    let down = false, spot = [PAD / 2, PAD / 4];
    const show = () => {
      dot.style.left = `${(100 * spot[0]) / PAD}%`;
      dot.style.top = `${(100 * spot[1]) / PAD}%`;
      dot.classList.toggle("down", down);
    };
    canvas.addEventListener("keydown", (e) => {
      const step = STEPS[e.key];
      if (!step && e.key !== " ") return;
      e.preventDefault();
      if (step) {
        const next = spot.map((at, axis) => Math.min(PAD - PEN / 2, Math.max(PEN / 2, at + step[axis])));
        if (down) this.line(spot, next);
        spot = next;
      } else if ((down = !down)) this.line(spot, spot);
      show();
    });
    show();
  }

  line(from, to) {
    this.preview.hidden = true;
    this.pen.beginPath();
    this.pen.moveTo(...from);
    this.pen.lineTo(...to);
    this.pen.stroke();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(this.drawing()), PAUSE);
  }

  /** The drawing as a PNG file. `toBlob` would wait until the browser has nothing else to do. */
  drawing() {
    const text = atob(this.pen.canvas.toDataURL("image/png").split(",")[1]);
    return new Blob([Uint8Array.from(text, (letter) => letter.charCodeAt(0))], { type: "image/png" });
  }

  wipe() {
    this.pen.fillStyle = "#000";
    this.pen.fillRect(0, 0, PAD, PAD);
    Object.assign(this.pen, { lineWidth: PEN, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
  }

  clear() {
    clearTimeout(this.timer);
    this.wipe();
    this.preview.hidden = true;
    forget();
  }

  // --- sending ---------------------------------------------------------------------------------
  take(file) {
    URL.revokeObjectURL(this.preview.src);
    this.preview.src = URL.createObjectURL(file);
    this.preview.hidden = false;
    this.preview.onerror = () => { this.preview.hidden = true; };
    if (this.pen) this.wipe();
    this.send(file);
  }

  async send(blob) {
    document.dispatchEvent(new CustomEvent("picture", { detail: blob }));
    const field = this.getAttribute("field");
    if (!field) return ask(blob, blob.type.startsWith("image/") ? blob.type : "application/octet-stream");
    const bytes = new Uint8Array(await blob.arrayBuffer());
    give(field, btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")));
  }
}

/** Fields for the numbers that may be told beside an item, such as a length or a seed. */
function settings(about) {
  const wanted = about.preprocessing.filter((o, i, all) =>
    o.operation === "number" && o.field && all.findIndex((other) => other.field === o.field) === i);
  const controls = wanted.map((o) => make("input", {
    type: "number", id: `setting-${o.field}`, min: o.low, max: o.high,
    step: o.dtype.startsWith("float") ? "any" : 1, value: about.example?.[o.field] ?? o.default ?? "",
  }));
  const fields = make("div", { className: "fields" }, ...wanted.map((o, i) => make("div", {},
    make("label", { htmlFor: controls[i].id, textContent: o.field.replaceAll("_", " ") }), controls[i])));
  const values = () => Object.fromEntries(wanted.flatMap((o, i) =>
    controls[i].value === "" || Number(controls[i].value) === o.default ? [] : [[o.field, Number(controls[i].value)]]));
  return { fields, values, count: wanted.length };
}

/** A text, the only part of an item or one of several; numbers that the model knows stand below it. */
class TextInput extends HTMLElement {
  async connectedCallback() {
    const field = this.getAttribute("field");
    this.area = make("textarea", { id: `text-${field ?? "item"}`, rows: 3 });
    const label = make("label", { htmlFor: this.area.id, textContent: field ?? "Text" });
    const go = make("button", { textContent: "Ask", onclick: () => this.send(field) });
    this.area.onkeydown = (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) go.click(); };
    const buttons = make("div", { className: "buttons" }, go, make("span", { className: "hint", textContent: "or Ctrl + Enter" }));
    this.append(label, this.area, buttons);
    const about = await described.catch(() => null);
    if (!about) return;
    const example = field ? about.example?.[field] : about.example;
    if (typeof example === "string" && !this.area.value) this.area.value = example;
    this.settings = field && settings(about);
    if (this.settings?.count) buttons.before(this.settings.fields);
  }

  send(field) {
    if (!field) return askJson(this.area.value);
    give(field, this.area.value, this.settings?.values());
  }

  contribute(parts) {
    parts[this.getAttribute("field")] = this.area.value;
  }
}

/** Numbers alone: for models that take nothing else. */
class NumberInput extends HTMLElement {
  async connectedCallback() {
    const about = await described.catch(() => null);
    if (!about) return;
    const { fields, values } = settings(about);
    this.append(form(fields, () => askJson(values())));
  }
}

/** A form with a field for each column of the table that the model was trained on. */
class RowInput extends HTMLElement {
  async connectedCallback() {
    const about = await described.catch(() => null);
    if (!about) return;
    const columns = about.preprocessing.find((o) => o.operation === "table").columns;
    const controls = columns.map((column, i) => control(column, about.example?.[column.name], `column-${i}`));
    const fields = make("div", { className: "fields" }, ...columns.map((column, i) => make("div", {},
      make("label", { htmlFor: controls[i].id, textContent: column.name, title: column.name }), controls[i])));
    const value = (column, text) => (text === "" ? null : column.kind === "category" ? text : Number(text));
    this.append(form(fields, () =>
      askJson(Object.fromEntries(columns.map((column, i) => [column.name, value(column, controls[i].value)])))));
  }
}

/** What one column is asked with; left empty, its value is unknown. */
function control(column, shown, id) {
  if (column.kind !== "category") {
    return make("input", { type: "number", step: "any", id, value: shown ?? "", placeholder: "unknown" });
  }
  const options = column.values.map((v) => make("option", { value: v, textContent: v, selected: v === String(shown) }));
  return make("select", { id }, make("option", { value: "", textContent: "unknown" }), ...options);
}

/** Fields with a button that asks; Enter in a field asks too. */
function form(fields, send) {
  const go = make("button", { textContent: "Ask" });
  const whole = make("form", { noValidate: true }, fields, make("div", { className: "buttons" }, go));
  whole.onsubmit = (e) => { e.preventDefault(); send(); };
  return whole;
}

class JsonInput extends HTMLElement {
  async connectedCallback() {
    const area = make("textarea", { className: "code", id: "json-item", spellcheck: false, rows: 10 });
    const go = make("button", { textContent: "Ask" });
    go.onclick = () => {
      let item;
      try { item = JSON.parse(area.value); } catch (error) { return say(`This is no JSON: ${error.message}`, true); }
      askJson(item);
    };
    area.onkeydown = (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) go.click(); };
    const hint = make("span", { className: "hint", textContent: "or Ctrl + Enter" });
    this.append(make("label", { htmlFor: area.id, textContent: "Item as JSON" }), area,
      make("div", { className: "buttons" }, go, hint));
    const about = await described.catch(() => null);
    if (about && !area.value) area.value = laidOut(about.example);
  }
}

/** JSON for people: short lists on one line. */
function laidOut(item) {
  const text = JSON.stringify(item, null, 2);
  return text.replace(/\[[^[\]{}"]*\]/g, (list) => list.replace(/\s+/g, " ").replace("[ ", "[").replace(" ]", "]"));
}

export const INPUTS = {
  "image-input": ImageInput, "text-input": TextInput, "number-input": NumberInput, "row-input": RowInput,
  "json-input": JsonInput,
};
