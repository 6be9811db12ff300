// The page of a served model: input elements send an item to /predict, output elements show the answer.
// Answers and labels reach the page as text nodes only, never as markup.

const token = new URLSearchParams(location.hash.slice(1)).get("token");
const status = document.getElementById("status");

/** Headers that identify this page to a server that asks for a token. */
function identified(headers = {}) {
  return token ? { ...headers, authorization: `Bearer ${token}` } : headers;
}

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function say(text, bad = false) {
  status.textContent = text;
  status.classList.toggle("bad", bad);
}

let asked = 0;

/** Ask the model; the newest question wins when answers overtake each other. */
async function ask(body, type) {
  const turn = ++asked;
  const began = performance.now();
  say("...");
  try {
    const reply = await fetch("/predict", { method: "POST", headers: identified({ "content-type": type }), body });
    const answer = await reply.json();
    if (turn !== asked) return;
    if (!reply.ok) return say(answer.error, true);
    say(`answered in ${Math.round(performance.now() - began)} ms by ${answer.model}`);
    document.dispatchEvent(new CustomEvent("answer", { detail: answer }));
  } catch (error) {
    if (turn === asked) say(`the server does not answer: ${error.message}`, true);
  }
}

const askJson = (item) => ask(JSON.stringify(item), "application/json");

// --- inputs -------------------------------------------------------------------------------------

/** A picture: drawn with mouse, finger or keys (attribute `draw`), dropped, pasted or chosen. */
class ImageInput extends HTMLElement {
  connectedCallback() {
    this.append(make("p", { className: "hint", textContent: this.hasAttribute("draw")
      ? "Draw here, or drop a picture below." : "Drop, paste or choose a picture." }));
    if (this.hasAttribute("draw")) this.pad();
    this.file();
  }

  pad() {
    const canvas = make("canvas", { className: "pad", width: 280, height: 280, tabIndex: 0 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "Drawing pad. Arrow keys move the pen, space puts it down or up.");
    const pen = canvas.getContext("2d");
    Object.assign(pen, { lineWidth: 20, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
    const clear = () => { pen.fillStyle = "#000"; pen.fillRect(0, 0, 280, 280); };
    clear();
    let last = null, timer = 0, down = false, spot = [140, 60];
    const send = () => { clearTimeout(timer); timer = setTimeout(() => canvas.toBlob((b) => this.send(b)), 120); };
    const place = (e) => {
      const box = canvas.getBoundingClientRect();
      return [(e.clientX - box.left) * 280 / box.width, (e.clientY - box.top) * 280 / box.height];
    };
    const line = (from, to) => { pen.beginPath(); pen.moveTo(...from); pen.lineTo(...to); pen.stroke(); send(); };
    canvas.addEventListener("pointerdown", (e) => { canvas.setPointerCapture(e.pointerId); last = place(e); line(last, last); });
    canvas.addEventListener("pointermove", (e) => { if (last) { const next = place(e); line(last, next); last = next; } });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { last = null; });
    canvas.addEventListener("keydown", (e) => {
      const way = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] }[e.key];
      if (e.key === " ") { down = !down; if (down) line(spot, spot); e.preventDefault(); }
      if (!way) return;
      const next = [0, 1].map((i) => Math.min(270, Math.max(10, spot[i] + way[i])));
      if (down) line(spot, next);
      spot = next;
      e.preventDefault();
    });
    const wipe = make("button", { className: "quiet", textContent: "Clear", onclick: () => { clear(); say(""); } });
    this.append(canvas, wipe);
  }

  file() {
    const chooser = make("input", { type: "file", accept: "image/*" });
    const area = make("div", { className: "drop" }, make("label", {}, "Picture file ", chooser));
    chooser.onchange = () => chooser.files[0] && this.send(chooser.files[0]);
    area.ondragover = (e) => { e.preventDefault(); area.classList.add("over"); };
    area.ondragleave = () => area.classList.remove("over");
    area.ondrop = (e) => { e.preventDefault(); area.classList.remove("over"); e.dataTransfer.files[0] && this.send(e.dataTransfer.files[0]); };
    document.addEventListener("paste", (e) => { const f = e.clipboardData?.files[0]; if (f) this.send(f); });
    this.append(area);
  }

  async send(blob) {
    if (this.hasAttribute("field")) { // one part of a larger item
      const bytes = new Uint8Array(await blob.arrayBuffer());
      let text = "";
      for (const byte of bytes) text += String.fromCharCode(byte);
      parts[this.getAttribute("field")] = btoa(text);
      return sendParts();
    }
    document.dispatchEvent(new CustomEvent("picture", { detail: blob }));
    ask(blob, blob.type.startsWith("image/") ? blob.type : "application/octet-stream");
  }
}

const parts = {};

/** Items of several parts are sent when every part is there. */
function sendParts() {
  const wanted = [...document.querySelectorAll("#widget [field]")].filter((e) => e.tagName.endsWith("-INPUT"))
    .map((e) => e.getAttribute("field"));
  const missing = wanted.filter((name) => !(name in parts));
  if (missing.length) return say(`still wanted: ${missing.join(", ")}`);
  askJson(parts);
}

class TextInput extends HTMLElement {
  connectedCallback() {
    const field = this.getAttribute("field");
    const area = make("textarea", { id: `text-${field ?? "item"}` });
    const label = make("label", { htmlFor: area.id, textContent: field ?? "Text" });
    const go = make("button", { textContent: "Ask" });
    go.onclick = () => {
      if (!field) return askJson(area.value);
      parts[field] = area.value;
      sendParts();
    };
    area.onkeydown = (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) go.click(); };
    this.append(label, area, go);
  }
}

/** A form with a field for each column of the table that the model was trained on. */
class RowInput extends HTMLElement {
  async connectedCallback() {
    const about = await described;
    const columns = about.preprocessing.find((o) => o.operation === "table").columns;
    const fields = make("div", { className: "fields" });
    const controls = columns.map((column) => {
      const shown = about.example?.[column.name] ?? "";
      const control = column.kind === "category"
        ? make("select", {}, make("option", { value: "", textContent: "unknown" }),
            ...column.values.map((v) => make("option", { value: v, textContent: v, selected: v === shown })))
        : make("input", { type: "number", step: "any", value: shown, placeholder: "unknown" });
      control.id = `column-${column.name}`;
      fields.append(make("div", {}, make("label", { htmlFor: control.id, textContent: column.name }), control));
      return [column, control];
    });
    const go = make("button", { textContent: "Ask" });
    go.onclick = () => askJson(Object.fromEntries(controls.map(([column, control]) =>
      [column.name, control.value === "" ? null : column.kind === "category" ? control.value : Number(control.value)])));
    this.append(fields, go);
  }
}

class JsonInput extends HTMLElement {
  async connectedCallback() {
    const area = make("textarea", { className: "code", id: "json-item", spellcheck: false });
    const go = make("button", { textContent: "Ask" });
    this.append(make("label", { htmlFor: area.id, textContent: "Item as JSON" }), area, go);
    area.value = JSON.stringify((await described).example, null, 1);
    go.onclick = () => {
      try { askJson(JSON.parse(area.value)); } catch (error) { say(`this is no JSON: ${error.message}`, true); }
    };
  }
}

// --- outputs ------------------------------------------------------------------------------------

class Output extends HTMLElement {
  connectedCallback() {
    this.setAttribute("aria-live", "polite");
    if (!this.children.length) this.append(make("p", { className: "hint", textContent: "The answer appears here." }));
    document.addEventListener("answer", (e) => { this.replaceChildren(); this.show(e.detail); });
  }
}

class LabelOutput extends Output {
  show(answer) {
    this.append(make("div", { className: "answer", textContent: answer.label }));
    const shares = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]).slice(0, 10);
    shares.forEach(([label, share], i) => {
      const bar = make("i");
      bar.style.width = `${100 * share}%`;
      const row = make("div", { className: i ? "share" : "share first" }, make("span", { textContent: label, title: label }),
        make("div", {}, bar), make("span", { textContent: `${(100 * share).toFixed(1)} %` }));
      this.append(row);
    });
  }
}

class ValueOutput extends Output {
  show(answer) {
    const value = answer.value;
    this.append(make("div", { className: "answer", textContent: Number(value).toLocaleString("en", { maximumSignificantDigits: 6 }) }));
    if (answer.name) this.append(make("p", { className: "hint", textContent: answer.name }));
  }
}

class TextOutput extends Output {
  show(answer) {
    this.append(make("pre", { textContent: answer[this.getAttribute("field") ?? "text"] }));
  }
}

class JsonOutput extends Output {
  show(answer) {
    this.append(make("pre", { textContent: JSON.stringify(answer, null, 1) }));
  }
}

class ImagesOutput extends Output {
  show(answer) {
    const given = answer[this.getAttribute("field") ?? "images"];
    const grid = make("div", { className: "images" });
    for (const image of [given].flat()) grid.append(make("img", { src: `data:image/png;base64,${image}`, alt: "generated picture" }));
    this.append(grid);
  }
}

class BoxesOutput extends Output {
  connectedCallback() {
    super.connectedCallback();
    document.addEventListener("picture", (e) => { this.picture = e.detail; });
  }

  async show(answer) {
    const found = answer.boxes ?? [];
    if (this.picture) {
      const image = await createImageBitmap(this.picture);
      const canvas = make("canvas", { width: image.width, height: image.height });
      const pen = canvas.getContext("2d");
      pen.drawImage(image, 0, 0);
      Object.assign(pen, { lineWidth: Math.max(2, image.width / 200), font: `${Math.max(12, image.width / 40)}px system-ui` });
      for (const { box, label, score } of found) {
        const [x0, y0, x1, y1] = box;
        pen.strokeStyle = pen.fillStyle = "#0b6bcb";
        pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
        pen.fillText(`${label} ${(100 * score).toFixed(0)} %`, x0 + 3, Math.max(14, y0 - 4));
      }
      this.append(make("div", { className: "picture" }, canvas));
    }
    this.append(make("p", { className: "hint", textContent: `${found.length} found` }));
  }
}

const described = fetch("/about", { headers: identified() }).then((reply) => {
  if (!reply.ok) throw new Error("this server asks for a token: open the address that was printed at start");
  return reply.json();
});
described.then((about) => {
  const item = about.example;
  let text = JSON.stringify(item);
  if (text && text.length > 400) text = `${text.slice(0, 400)} ...`;
  document.getElementById("example").textContent =
    `curl -H 'Content-Type: application/json' ${location.origin}/predict \\\n  -d '${text}'`;
}).catch((error) => say(error.message, true));

for (const [name, kind] of Object.entries({
  "image-input": ImageInput, "text-input": TextInput, "row-input": RowInput, "json-input": JsonInput,
  "label-output": LabelOutput, "value-output": ValueOutput, "text-output": TextOutput, "json-output": JsonOutput,
  "images-output": ImagesOutput, "boxes-output": BoxesOutput,
})) customElements.define(name, kind);
