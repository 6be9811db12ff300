const INDENT = "    ";
const REST = 1500; // milliseconds without a key, after which a text is kept
const WORDS =
  "and as assert async await break class continue def del elif else except finally for from global if import in " +
  "is lambda nonlocal not or pass raise return try while with yield None True False";
const STRINGS = ["'''[^]*?(?:'''|$)", '"""[^]*?(?:"""|$)', "'(?:\\\\.|[^'\\\\\\n])*'?", '"(?:\\\\.|[^"\\\\\\n])*"?'];
const TOKEN = new RegExp(
  [
    "(?<c>#.*)",
    `(?<s>[rbfuRBFU]{0,2}(?:${STRINGS.join("|")}))`,
    "(?<m>\\b\\d[\\w.]*)",
    `(?<k>\\b(?:${WORDS.replaceAll(" ", "|")})\\b)`,
    "(?<f>(?<=\\b(?:def|class) +)\\w+|@[\\w.]+)",
  ].join("|"),
  "g",
);

/** A textarea that knows Python a little: colours, line numbers, indents. The textarea stays what is edited. */
export class LearnEditor extends HTMLElement {
  painted = Object.assign(document.createElement("pre"), { className: "painted", ariaHidden: "true" });
  gutter = Object.assign(document.createElement("pre"), { className: "gutter", ariaHidden: "true" });
  timer = 0;
  leaving = true; // Tab goes on to the next thing on the page

  connectedCallback() {
    if (this.painted.isConnected) return; // it was only moved
    this.append(this.gutter, this.painted);
    this.area.wrap = "off";
    this.classList.add("ready");
    this.area.addEventListener("input", () => this.changed());
    this.area.addEventListener("keydown", (event) => this.key(event));
    // Whoever comes by Tab goes on by Tab, until something is typed or pointed at.
    this.area.addEventListener("focus", () => (this.leaving = true));
    this.area.addEventListener("pointerup", () => (this.leaving = false));
    this.area.addEventListener("scroll", () => this.follow());
    this.paint();
  }

  get area() {
    return /** @type {HTMLTextAreaElement} */ (this.querySelector("textarea"));
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
  }

  changed() {
    this.paint();
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.dispatchEvent(new Event("rest", { bubbles: true })), REST);
  }

  paint() {
    const text = this.area.value;
    const lines = text.split("\n").length;
    this.area.rows = Math.max(lines + 1, 8);
    this.painted.innerHTML = coloured(text) + "\n";
    this.gutter.textContent = Array.from({ length: lines }, (_, line) => line + 1).join("\n");
    this.follow();
  }

  follow() {
    this.painted.scrollLeft = this.area.scrollLeft;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const { value, selectionStart: start, selectionEnd: end } = this.area;
    if (event.key === "Escape") {
      this.leaving = true;
    } else if (event.key === "Tab" && !this.leaving && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      if (event.shiftKey || value.slice(start, end).includes("\n")) this.shift(event.shiftKey);
      else this.insert(INDENT.slice((start - lineStart(value, start)) % INDENT.length));
    } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey && !event.isComposing) {
      event.preventDefault();
      const line = value.slice(lineStart(value, start), start);
      const indent = /^\s*/.exec(line)?.[0] ?? "";
      this.insert("\n" + indent + (/:\s*(#.*)?$/.test(line) ? INDENT : ""));
    } else if (event.key === "Backspace" && start === end && !event.ctrlKey && !event.altKey) {
      const line = value.slice(lineStart(value, start), start);
      if (line && !line.trim()) {
        event.preventDefault();
        this.area.setSelectionRange(start - (((line.length - 1) % INDENT.length) + 1), start);
        document.execCommand("delete");
      }
    }
    if (event.key.length === 1 || /^(Arrow|Enter|Backspace|Delete|Home|End|Page)/.test(event.key)) this.leaving = false;
  }

  /**
   * Move the lines of the selection to the right, or back.
   * @param {boolean} back
   */
  shift(back) {
    const { value, selectionStart, selectionEnd } = this.area;
    const start = lineStart(value, selectionStart);
    const after = value.indexOf("\n", Math.max(selectionEnd - 1, selectionStart));
    const end = after < 0 ? value.length : after;
    const move = (/** @type {string} */ line) => (back ? line.replace(/^ {1,4}/, "") : line && INDENT + line);
    const moved = value.slice(start, end).split("\n").map(move).join("\n");
    this.area.setSelectionRange(start, end);
    this.insert(moved);
    this.area.setSelectionRange(start, start + moved.length);
  }

  /**
   * As if it were typed, so that it can be undone.
   * @param {string} text
   */
  insert(text) {
    if (!document.execCommand("insertText", false, text)) {
      this.area.setRangeText(text, this.area.selectionStart, this.area.selectionEnd, "end");
      this.changed();
    }
  }
}

/** @param {string} text @param {number} place */
function lineStart(text, place) {
  return text.lastIndexOf("\n", place - 1) + 1;
}

/** @param {string} text Python @returns {string} HTML */
function coloured(text) {
  let html = "";
  let last = 0;
  for (const found of text.matchAll(TOKEN)) {
    const kind = Object.entries(found.groups ?? {}).find(([, piece]) => piece !== undefined)?.[0];
    html += escaped(text.slice(last, found.index)) + `<span class="${kind}">${escaped(found[0])}</span>`;
    last = found.index + found[0].length;
  }
  return html + escaped(text.slice(last));
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
}
