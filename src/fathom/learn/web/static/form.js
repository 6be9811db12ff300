/** A form whose answer is a part of this page: it takes the place of the form. */
export class LearnForm extends HTMLElement {
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
    return fetch(address, { method: "POST", headers: { "x-part": "1" }, body, keepalive: leaving });
  }

  /** @param {HTMLButtonElement | null} button */
  async send(button) {
    if (this.form.ariaBusy === "true") return;
    this.form.ariaBusy = "true";
    const word = button?.textContent ?? "";
    const patience = setTimeout(() => button && (button.textContent = "One moment ..."), 150);
    try {
      const answer = await this.ask(button?.getAttribute("formaction") ?? this.form.action);
      const text = await answer.text();
      if (!answer.ok) throw new Error(reason(text));
      this.replace(text);
    } catch (error) {
      const silent = error instanceof TypeError; // what fetch throws when nobody answers
      this.complain(silent ? "The server does not answer. Is fathom learn still running?" : String(error));
    } finally {
      clearTimeout(patience);
      if (button) button.textContent = word;
      this.form.ariaBusy = "false";
    }
  }

  /**
   * Put what the server sent in the place of this form, and the reader to what is new in it.
   * @param {string} text
   */
  replace(text) {
    const sent = document.createElement("template");
    sent.innerHTML = text;
    const made = /** @type {LearnForm} */ (sent.content.querySelector("learn-form"));
    const before = new Set([...this.querySelectorAll("[role=status], section")].map((part) => part.textContent));
    keepEditor(this, made);
    this.replaceWith(made);
    for (const part of sent.content.querySelectorAll("template")) {
      document.getElementById(part.dataset.for ?? "")?.replaceChildren(part.content);
    }
    const parts = [.../** @type {NodeListOf<HTMLElement>} */ (made.querySelectorAll("[role=status], section"))];
    const fresh = parts.find((part) => !part.hidden && !before.has(part.textContent));
    (fresh ?? parts.find((part) => !part.hidden))?.focus();
  }

  /** Keep what is written, without judging it. */
  async save() {
    if (this.form.ariaBusy === "true") return;
    const answer = await this.ask(`${new URL(this.form.action).pathname}/save`, true).catch(() => null);
    if (!answer?.ok || !this.isConnected) return;
    const sent = document.createElement("template");
    sent.innerHTML = await answer.text();
    const now = /** @type {HTMLInputElement | null} */ (sent.content.querySelector("[name=base]"));
    const mine = /** @type {HTMLInputElement | null} */ (this.querySelector("[name=base]"));
    const refusal = sent.content.querySelector(".verdict.bad b")?.textContent === "Not saved.";
    if (refusal) this.complain(sent.content.querySelector(".verdict")?.textContent ?? "");
    if (now && mine) mine.value = now.value;
  }

  /** @param {string} text */
  complain(text) {
    let told = /** @type {HTMLElement | null} */ (this.querySelector("[role=status]"));
    if (!told) {
      told = Object.assign(document.createElement("div"), { role: "status", tabIndex: -1 });
      this.form.append(told);
    }
    Object.assign(told, { className: "verdict bad", hidden: false, textContent: text.replace(/^Error: /, "") });
    told.focus();
  }
}

/**
 * An editor whose text did not change stays the one it is, with its caret and what can be undone.
 * @param {Element} old @param {Element} made
 */
function keepEditor(old, made) {
  const [mine, theirs] = [old, made].map((form) => form.querySelector("learn-editor"));
  if (mine && theirs && mine.querySelector("textarea")?.value === theirs.querySelector("textarea")?.value) {
    theirs.replaceWith(mine);
  }
}

/** @param {string} page what a page of refusal says */
function reason(page) {
  const read = new DOMParser().parseFromString(page, "text/html");
  return read.querySelector("main p")?.textContent ?? "The server could not do this.";
}
