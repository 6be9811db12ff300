/**
 * Formulas come as MathML, which is read and drawn without a script. Here KaTeX draws them over, so that they look
 * the same on every machine; the MathML stays beside, out of sight: it is what a screen reader reads. A formula that
 * KaTeX does not know stays as it came.
 * @typedef {{ render: (tex: string, place: Element, options: object) => void }} Katex what is used of it
 */
const VENDOR = new URL("vendor/", import.meta.url).href;
const FONTS = ["1em KaTeX_Main", "italic 1em KaTeX_Math"]; // of nearly every formula: they must not come in later
const SLICE = 12; // milliseconds of drawing before the page may answer again
const OPTIONS = {
  output: "html",
  throwOnError: true,
  macros: { "\\known": "\\htmlData{symbol=#1}{#2}" }, // the mark of a symbol, see web/maths.py
  trust,
  strict: (/** @type {string} */ code) => (code === "htmlExtension" ? "ignore" : "error"),
};

/**
 * Marks are all that is trusted. Of what is only refused, KaTeX would draw the name, in red; so it must not go on.
 * @param {{ command: string }} asked
 */
function trust({ command }) {
  if (command !== "\\htmlData") throw new Error(`${command} is not trusted`);
  return true;
}

/** @type {Promise<Katex> | undefined} */
let loading;

/** Draw every formula of the page, and those that answers bring later. */
export function drawFormulas() {
  draw(document.body);
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) for (const node of addedNodes) if (node instanceof Element) draw(node);
  }).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("copy", copyAsTex);
}

/** @param {Element} part of the page; what is in sight comes first */
async function draw(part) {
  const found = /** @type {MathMLElement[]} */ ([...part.querySelectorAll("math:not([data-drawn])")]);
  if (!found.length) return;
  for (const formula of found) formula.dataset.drawn = "soon";
  const katex = await (loading ??= load()).catch(() => null); // without it everything stays as it came
  if (!katex) return;
  const seen = found.filter(isNear);
  let began = performance.now();
  for (const formula of new Set([...seen, ...found])) {
    if (performance.now() - began > SLICE) {
      await new Promise((next) => setTimeout(next));
      began = performance.now();
    }
    redraw(formula, katex);
  }
}

async function load() {
  const sheet = Object.assign(document.createElement("link"), { rel: "stylesheet", href: `${VENDOR}katex.css` });
  const styled = new Promise((done, failed) => Object.assign(sheet, { onload: done, onerror: failed }));
  document.head.append(sheet);
  const [katex] = await Promise.all([import(`${VENDOR}katex.mjs`), styled]);
  await Promise.all(FONTS.map((font) => document.fonts.load(font)));
  return katex;
}

/** @param {Element} formula */
function isNear(formula) {
  const box = formula.getBoundingClientRect();
  return box.bottom > 0 && box.top < innerHeight;
}

/** @param {MathMLElement} formula @param {Katex} katex */
function redraw(formula, katex) {
  const tex = formula.dataset.tex ?? source(formula);
  const whole = Object.assign(document.createElement("span"), { className: "maths" });
  try {
    katex.render(tex, whole, { ...OPTIONS, displayMode: formula.getAttribute("display") === "block" });
  } catch {
    formula.dataset.drawn = "left";
    return;
  }
  formula.dataset.drawn = "yes";
  formula.replaceWith(whole);
  const read = Object.assign(document.createElement("span"), { className: "read" });
  read.append(formula);
  whole.prepend(read);
  join(whole);
}

/**
 * A full stop behind a formula must not begin the next line; between its parts a formula may be broken.
 * @param {Element} whole
 */
function join(whole) {
  const next = whole.nextSibling;
  const signs = next instanceof Text ? /^[.,;:?!)\]]+/.exec(next.data)?.[0] : "";
  if (!(next instanceof Text) || !signs) return;
  const joined = Object.assign(document.createElement("span"), { className: "joined" });
  next.splitText(signs.length);
  whole.before(joined);
  joined.append(whole, next);
  for (const part of whole.querySelectorAll(".katex-base:not(:last-child)")) part.after(document.createElement("wbr"));
}

/** @param {Element} formula its TeX, as it was written */
function source(formula) {
  return formula.querySelector("annotation")?.textContent ?? "";
}

/** What a part of a page says, with each formula once. @param {Element} part */
export function words(part) {
  const copy = /** @type {Element} */ (part.cloneNode(true));
  for (const drawn of copy.querySelectorAll(".maths > :not(.read)")) drawn.remove();
  return copy.textContent;
}

/**
 * A text that is copied has the TeX of its formulas, and where markup can be pasted, their MathML.
 * @param {ClipboardEvent} event
 */
function copyAsTex(event) {
  const chosen = getSelection();
  if (!chosen?.rangeCount || chosen.isCollapsed || !event.clipboardData) return;
  const range = chosen.getRangeAt(0).cloneRange();
  const [first, last] = [formulaAround(range.startContainer), formulaAround(range.endContainer)];
  if (first) range.setStartBefore(first);
  if (last) range.setEndAfter(last);
  const copy = document.createElement("div");
  copy.append(range.cloneContents());
  const formulas = [...copy.querySelectorAll(".maths")];
  if (!formulas.length) return;
  for (const formula of formulas) formula.replaceWith(/** @type {Element} */ (formula.querySelector("math")));
  event.clipboardData.setData("text/html", copy.innerHTML);
  for (const formula of copy.querySelectorAll("math")) {
    const sign = formula.getAttribute("display") === "block" ? "$$" : "$";
    formula.replaceWith(`${sign}${source(formula)}${sign}`);
  }
  copy.className = "copied"; // only what is laid out has lines
  document.body.append(copy);
  event.clipboardData.setData("text/plain", copy.innerText);
  copy.remove();
  event.preventDefault();
}

/** @param {Node} node */
function formulaAround(node) {
  return (node instanceof Element ? node : node.parentElement)?.closest(".maths");
}
