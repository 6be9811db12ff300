const BUNDLE = "./vendor/codemirror.mjs";
const NEAR = "600px 0px"; // how far below or above the screen an editor is made ready
const REST = 1500; // milliseconds without a key, after which a text is kept
const FEWEST = 10; // lines that are shown

/**
 * What tools/vendor/codemirror.mjs opens. Of CodeMirror's view only this is used here.
 * @typedef {object} Opened
 * @property {{ dom: HTMLElement, scrollDOM: HTMLElement, focus(): void, setTabFocusMode(on: boolean): void }} view
 * @property {(text: string) => void} replace
 * @property {(line: number, message: string) => void} mark
 */

/**
 * A textarea in whose place CodeMirror comes when the reader comes near. The textarea stays what the form sends:
 * it holds what the editor holds, and is the editor where there is no other.
 */
export class LearnEditor extends HTMLElement {
  opened = /** @type {Opened | null} */ (null);
  asked = false; // the bundle is on its way, or here
  leaving = true; // Tab goes on to the next thing on the page
  timer = 0;
  near = new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && this.upgrade(), {
    rootMargin: NEAR,
  });

  constructor() {
    super();
    this.addEventListener("input", () => this.changed());
    this.addEventListener("focusin", () => this.upgrade());
    // Whoever comes by Tab goes on by Tab, until something is typed or pointed at.
    this.addEventListener("focusin", () => this.leave(true));
    this.addEventListener("pointerup", () => this.leave(false));
    this.addEventListener("keydown", (event) => this.key(event), { capture: true });
  }

  connectedCallback() {
    // The form around it is a new one after each answer, and so is its label.
    for (const label of this.area.labels) label.addEventListener("click", () => this.area.hidden && this.focus());
    if (this.asked) return;
    this.area.wrap = "off";
    this.area.rows = Math.max(this.area.value.split("\n").length + 1, FEWEST);
    this.near.observe(this);
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
    this.near.disconnect();
  }

  get area() {
    return /** @type {HTMLTextAreaElement} */ (this.querySelector("textarea"));
  }

  get value() {
    return this.area.value;
  }

  set value(text) {
    if (text === this.value) return;
    if (this.opened) this.opened.replace(text);
    else this.area.value = text;
  }

  /** How far it is scrolled to the right: lost when it is moved. */
  get scrolled() {
    return (this.opened?.view.scrollDOM ?? this.area).scrollLeft;
  }

  set scrolled(by) {
    (this.opened?.view.scrollDOM ?? this.area).scrollLeft = by;
  }

  /** Put the caret where it was, and let Tab do what it did. @override */
  focus() {
    const leaving = this.leaving;
    (this.opened?.view ?? this.area).focus();
    this.leave(leaving);
  }

  changed() {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.dispatchEvent(new Event("rest", { bubbles: true })), REST);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const typed = event.key.length === 1 || /^(Arrow|Enter|Backspace|Delete|Home|End|Page)/.test(event.key);
    if (event.key === "Escape") this.leave(true);
    else if (typed) this.leave(false);
  }

  /** @param {boolean} leaving */
  leave(leaving) {
    this.leaving = leaving;
    this.opened?.view.setTabFocusMode(leaving);
  }

  /** Have the editor, and go on in it where the textarea was. Without the bundle the textarea goes on. */
  async upgrade() {
    if (this.asked) return;
    this.asked = true;
    this.near.disconnect();
    const bundle = await import(BUNDLE).catch(() => null);
    if (!bundle) return;
    const { area, leaving } = this;
    const focused = document.activeElement === area;
    area.hidden = true; // before there is another, or the page below would move, and come back elsewhere
    this.opened = /** @type {Opened} */ (
      bundle.open(this, {
        text: area.value,
        from: area.selectionStart,
        to: area.selectionEnd,
        attributes: {
          tabindex: "0", // it is reached without that, but not everybody who looks for it knows
          "aria-label": area.labels[0]?.textContent ?? "",
          "aria-describedby": area.getAttribute("aria-describedby") ?? "",
        },
        changed: (/** @type {string} */ text, /** @type {boolean} */ byHand) => {
          area.value = text;
          if (byHand) this.changed();
        },
      })
    );
    if (focused) this.opened.view.focus();
    this.classList.add("ready");
    this.leave(leaving);
    this.mark();
  }

  /** Show at its line what the grader said of the text, where it named one. */
  mark() {
    const told = /** @type {HTMLElement | null | undefined} */ (
      this.closest("form")?.querySelector(".verdict[data-line]")
    );
    this.opened?.mark(Number(told?.dataset.line ?? 0), told?.querySelector("p")?.textContent ?? "");
  }
}
