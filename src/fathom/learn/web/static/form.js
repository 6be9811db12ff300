import { words } from "./maths.js";

/** @typedef {import("./editor.js").LearnEditor} LearnEditor */

const KEPT_ALIVE = 60_000; // characters: browsers refuse to finish more than 64 KiB for a page that is gone

/** A form whose answer is a part of this page: it takes the place of the form. */
export class LearnForm extends HTMLElement {
  /** Whether another program changed the file: nothing is kept then, until who has read so presses Check. */
  overtaken = false;

  connectedCallback() {
    const form = this.form;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(/** @type {HTMLButtonElement | null} */ (event.submitter));
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        form.requestSubmit();
      }
    });
    this.addEventListener("rest", () => this.save());
  }

  get form() {
    return /** @type {HTMLFormElement} */ (this.querySelector("form"));
  }

  /** @param {string} address @param {boolean} [leaving] */
  ask(address, leaving = false) {
    const body = new URLSearchParams();
    for (const [name, value] of new FormData(this.form)) body.append(name, String(value));
    const keepalive = leaving && String(body).length < KEPT_ALIVE;
    return fetch(address, { method: "POST", headers: { "x-part": "1" }, body, keepalive });
  }

  /** @param {HTMLButtonElement | null} button */
  async send(button) {
    if (this.form.ariaBusy === "true") return;
    this.form.ariaBusy = "true";
    const word = button?.textContent ?? "";
    const asked = written(this); // whoever goes on writing while it is judged loses nothing of it
    const patience = setTimeout(() => button && (button.textContent = "One moment ..."), 150);
    try {
      const answer = await this.ask(button?.getAttribute("formaction") ?? this.form.action);
      const text = await answer.text();
      if (!answer.ok) throw new Error(reason(text));
      this.replace(text, asked);
    } catch (error) {
      const silent = error instanceof TypeError; // what fetch throws when nobody answers
      const text = silent ? "The server does not answer. Is fathom learn still running?" : String(error);
      this.complain(text, written(this) !== asked);
    } finally {
      clearTimeout(patience);
      if (button) button.textContent = word;
      this.form.ariaBusy = "false";
      if (this.isConnected && written(this) !== asked) this.save();
    }
  }

  /**
   * Put what the server sent in the place of this form, and the reader to what is new in it. Who wrote on
   * meanwhile stays where they write, and what they wrote is kept.
   * @param {string} text @param {string} [asked] what stood in the editor when it was sent
   */
  replace(text, asked) {
    const sent = document.createElement("template");
    sent.innerHTML = text;
    const made = /** @type {LearnForm} */ (sent.content.querySelector("learn-form"));
    const before = new Set([...this.querySelectorAll("[role=status], section")].map(words));
    const ahead = written(this) !== asked;
    const editor = editorOf(this);
    const writing = ahead && editor?.contains(document.activeElement);
    this.replaceWith(made);
    if (editor) keepEditor(editor, made, ahead);
    for (const part of sent.content.querySelectorAll("template")) {
      document.getElementById(part.dataset.for ?? "")?.replaceChildren(part.content);
    }
    const parts = [.../** @type {NodeListOf<HTMLElement>} */ (made.querySelectorAll("[role=status], section"))];
    const fresh = parts.find((part) => !part.hidden && !before.has(words(part)));
    if (writing) editor?.focus();
    else (fresh ?? parts.find((part) => !part.hidden))?.focus();
    made.overtaken = refusal(made) !== null && base(made)?.value !== base(this)?.value;
    if (ahead) made.save();
  }

  /** Keep what is written, without judging it. What another program wrote meanwhile is not written over. */
  async save() {
    if (this.overtaken || this.form.ariaBusy === "true") return;
    const answer = await this.ask(`${new URL(this.form.action).pathname}/save`, true).catch(() => null);
    if (!answer?.ok || !this.isConnected) return;
    const sent = document.createElement("template");
    sent.innerHTML = await answer.text();
    const [now, mine] = [base(sent.content), base(this)];
    const refused = refusal(sent.content);
    if (refused) {
      this.overtaken = now?.value !== mine?.value;
      this.complain(refused, true);
    }
    if (now && mine) mine.value = now.value;
  }

  /** @param {string} text @param {boolean} [writing] somebody writes, and goes on where they are */
  complain(text, writing = false) {
    let told = /** @type {HTMLElement | null} */ (this.querySelector("[role=status]"));
    if (!told) {
      told = Object.assign(document.createElement("div"), { role: "status", tabIndex: -1 });
      this.form.append(told);
    }
    Object.assign(told, { className: "verdict bad", hidden: false, textContent: text.replace(/^Error: /, "") });
    if (writing) told.scrollIntoView({ block: "nearest" });
    else told.focus();
  }
}

/**
 * The editor stays the one it is, with its caret and what can be undone. What the server has made of the text,
 * as when it is begun anew, is one step more that can be undone; unless the text is ahead of what it knows.
 * @param {LearnEditor} mine @param {Element} made @param {boolean} ahead
 */
function keepEditor(mine, made, ahead) {
  const theirs = editorOf(made);
  if (!theirs) return;
  const text = theirs.value;
  const aside = mine.scrolled;
  theirs.replaceWith(mine);
  mine.scrolled = aside;
  if (ahead) return;
  mine.value = text;
  mine.mark();
}

/** @param {Element} form */
function editorOf(form) {
  return /** @type {LearnEditor | null} */ (form.querySelector("learn-editor"));
}

/** @param {Element} form what stands in its editor now, if it has one */
function written(form) {
  return form.querySelector("textarea")?.value;
}

/** @param {ParentNode} part of a page: which text of the file its form began with */
function base(part) {
  return /** @type {HTMLInputElement | null} */ (part.querySelector("[name=base]"));
}

/** @param {ParentNode} part of a page: why an answer was not saved, or nothing */
function refusal(part) {
  const said = part.querySelector(".verdict.bad");
  return said?.querySelector("b")?.textContent === "Not saved." ? said.textContent : null;
}

/** @param {string} page what a page of refusal says */
function reason(page) {
  const read = new DOMParser().parseFromString(page, "text/html");
  return read.querySelector("main p")?.textContent ?? "The server could not do this.";
}
