/** A figure: its controls are a form, its pictures come from the server as they are made. */
export class LearnFigure extends HTMLElement {
  stage = crypto.randomUUID();
  live = false; // a run of many frames, with buttons
  ended = false;
  endless = false; // the stream that is open goes on until the end
  /** @type {AbortController | undefined} */
  running;
  /** @type {AbortController | undefined} */
  asking; // for the program of the settings
  drawing = false; // one picture for moved controls is under way
  stale = false; // and they moved again meanwhile
  timer = 0;

  connectedCallback() {
    this.live = this.hasAttribute("data-live");
    this.controls.addEventListener("submit", (event) => event.preventDefault());
    this.controls.addEventListener("input", (event) => this.typed(/** @type {Element} */ (event.target)));
    for (const field of this.querySelectorAll("[data-private] [disabled]")) field.removeAttribute("disabled");
    this.picture.addEventListener("pointerdown", (event) => this.grab(event));
    if (this.live) {
      const buttons = /** @type {HTMLElement} */ (this.querySelector(".buttons"));
      buttons.hidden = false;
      buttons.addEventListener("click", (event) => this.press(/** @type {HTMLElement} */ (event.target).dataset.do));
      this.pace.addEventListener("change", () => this.going && this.play({}));
    }
    this.code.addEventListener("toggle", () => this.rewrite());
    // What nobody scrolls to is not computed.
    this.watch = new IntersectionObserver((seen) => {
      if (!seen.some((entry) => entry.isIntersecting)) return;
      this.watch?.disconnect();
      if (!this.running) this.play({ frames: 1, anew: true });
    }, { rootMargin: "400px" });
    this.watch.observe(this);
  }

  disconnectedCallback() {
    this.watch?.disconnect();
    this.running?.abort();
  }

  /** Whether it runs on and on; a single picture that is being drawn is no run, and "Run" begins one. */
  get going() {
    return Boolean(this.running && this.endless);
  }

  get controls() {
    return /** @type {HTMLFormElement} */ (this.querySelector("form"));
  }

  get picture() {
    return /** @type {HTMLElement} */ (this.querySelector(".stage"));
  }

  get code() {
    return /** @type {HTMLDetailsElement} */ (this.querySelector("details"));
  }

  get said() {
    return /** @type {HTMLElement} */ (this.querySelector(".say"));
  }

  get pace() {
    return /** @type {HTMLSelectElement} */ (this.querySelector("[data-do=pace]"));
  }

  /** @param {string} [wanted] what a button says */
  press(wanted) {
    if (wanted === "run") {
      if (this.going) this.pause();
      else this.play({ anew: this.ended });
    } else if (wanted === "step") {
      this.play({ frames: 1, anew: this.ended });
    } else if (wanted === "anew") {
      this.play({ frames: 1, anew: true });
    }
  }

  /**
   * What was typed is looked at: the choice between it and what is given follows.
   * @param {Element} field
   */
  typed(field) {
    if (field instanceof HTMLInputElement && field.type === "file") return void this.take(field);
    const [name, option] = field.closest("[data-chooses]")?.getAttribute("data-chooses")?.split("=") ?? [];
    const choice = name && this.controls.elements.namedItem(name);
    if (choice && option) /** @type {HTMLSelectElement} */ (choice).value = option;
    this.moved();
  }

  /**
   * The text of a file goes into the field beside it, as if it had been pasted.
   * @param {HTMLInputElement} from
   */
  async take(from) {
    const [file, area] = [from.files?.[0], from.closest("[data-private]")?.querySelector("textarea")];
    if (!file || !area) return;
    const most = Number(from.dataset.most);
    if (file.size > most) {
      this.said.textContent = `${file.name} has more than ${most / 1024} KiB.`;
    } else {
      area.value = await file.text();
      this.typed(area);
    }
    from.value = ""; // the same file can be taken again
  }

  /** A control moved: what is shown belongs to other settings now. */
  moved() {
    for (const range of this.ranges()) {
      const value = Number(range.value);
      const shown = range.hasAttribute("data-logarithm") ? 10 ** value : value;
      const told = range.parentElement?.querySelector("b");
      if (told) told.textContent = String(Number(shown.toPrecision(3)));
      if (told && shown !== value) range.ariaValueText = told.textContent;
    }
    this.remember();
    if (this.going) this.play({ anew: true });
    else this.redraw();
  }

  /** One picture after the other, each of the newest settings: nothing waits in a queue. */
  async redraw() {
    this.stale = true;
    if (this.drawing) return;
    this.drawing = true;
    while (this.stale) {
      this.stale = false;
      await this.play({ frames: 1, anew: true });
    }
    this.drawing = false;
  }

  /** The settings go into the address, so that they can be kept and shared. */
  remember() {
    const address = new URL(location.href);
    for (const part of this.controls.elements) address.searchParams.delete(part.getAttribute("name") ?? "");
    for (const [name, value] of this.settings()) {
      const field = this.controls.elements.namedItem(name);
      const secret = field instanceof Element && field.closest("[data-private]");
      if (!secret) address.searchParams.append(name, value);
    }
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      history.replaceState(null, "", address);
      this.rewrite();
    }, 200);
  }

  /** The program below has the settings of now, as far as somebody looks at it; or the reason why it has none. */
  async rewrite() {
    const program = this.code.querySelector(".program");
    if (!program || !this.code.open) return;
    this.asking?.abort();
    const mine = (this.asking = new AbortController());
    const [body, headers] = [this.settings(), { accept: "text/event-stream" }];
    const address = `${this.dataset.address}.py`;
    try {
      const answer = await fetch(address, { method: "POST", body, headers, signal: mine.signal });
      const text = await answer.text();
      if (answer.ok) program.innerHTML = text;
      else program.textContent = text;
    } catch (error) {
      if (!mine.signal.aborted) program.textContent = "It could not be fetched. Is fathom learn still running?";
    }
  }

  ranges() {
    return /** @type {NodeListOf<HTMLInputElement>} */ (this.controls.querySelectorAll("[type=range]"));
  }

  settings() {
    const found = new URLSearchParams();
    for (const [name, value] of new FormData(this.controls)) found.append(name, String(value));
    return found;
  }

  pause() {
    this.running?.abort();
    this.running = undefined;
    this.show();
  }

  /**
   * Ask for frames and show them as they come.
   * @param {{frames?: number, anew?: boolean}} wish
   */
  async play({ frames = 0, anew = false }) {
    this.watch?.disconnect();
    this.running?.abort();
    const mine = (this.running = new AbortController());
    const body = this.settings();
    body.set("frames", String(frames));
    if (this.live) body.set("pace", this.pace.value);
    if (anew) body.set("anew", "1");
    this.ended = false;
    this.endless = frames === 0;
    this.show();
    try {
      const address = `${this.dataset.address}/${this.stage}`;
      const headers = { accept: "text/event-stream" };
      const answer = await fetch(address, { method: "POST", body, headers, signal: mine.signal });
      if (!answer.ok || !answer.body) this.said.textContent = await answer.text(); // why this cannot be drawn
      else for await (const [kind, said] of events(answer.body)) {
        if (mine.signal.aborted) return;
        if (kind === "frame") this.draw(said);
        else this.finish(said.reason);
      }
    } catch (error) {
      if (!mine.signal.aborted) this.said.textContent = "The figure could not be drawn. Is fathom learn still running?";
    }
    if (this.running === mine) this.pause();
  }

  /**
   * A chart goes on with its numbers; every other panel is a new picture.
   * @param {{html: string, say: string}} frame
   */
  draw(frame) {
    const made = document.createElement("template");
    made.innerHTML = frame.html;
    const [present, coming] = [[...this.picture.children], [...made.content.children]];
    coming.forEach((panel, place) => {
      const before = /** @type {Element & {take?(next: Element): boolean} | undefined} */ (present[place]);
      if (!before) this.picture.append(panel);
      else if (!before.take?.(panel)) before.replaceWith(panel);
    });
    for (const gone of present.slice(coming.length)) gone.remove();
    if (this.querySelector("learn-curves:not(:defined)")) import("./curves.js");
    this.said.textContent = frame.say;
    this.dispatchEvent(new CustomEvent("drawn", { bubbles: true }));
  }

  /** @param {string} reason why no more frames come, or "" */
  finish(reason) {
    this.ended = true;
    if (reason) this.said.textContent = reason;
  }

  /** The buttons as they are now; while it runs, what it says is shown but not read out. */
  show() {
    this.said.ariaLive = this.going ? "off" : "polite";
    const run = this.querySelector("[data-do=run]");
    if (run) run.textContent = this.going ? "Pause" : this.ended ? "Run again" : "Run";
  }

  /**
   * A knob in a picture follows the pointer, and the two sliders of its control follow the knob.
   * @param {PointerEvent} event
   */
  grab(event) {
    const knob = /** @type {Element} */ (event.target).closest(".handle");
    const panel = knob?.closest("svg");
    const fields = ["x", "y"].map((axis) => this.field(`${knob?.getAttribute("data-control")}.${axis}`));
    if (!panel || !fields[0] || !fields[1]) return;
    event.preventDefault();
    this.picture.setPointerCapture(event.pointerId);
    const place = placeIn(panel);
    const move = (/** @type {PointerEvent} */ at) => {
      const found = place(at.clientX, at.clientY);
      fields.forEach((field, axis) => field && (field.value = String(found[axis])));
      this.moved();
    };
    const release = new AbortController();
    this.picture.addEventListener("pointermove", move, { signal: release.signal });
    this.picture.addEventListener("lostpointercapture", () => release.abort(), { signal: release.signal });
  }

  /** @param {string} name of a control, without that of the figure */
  field(name) {
    return [...this.ranges()].find((range) => range.name.endsWith(`.${name}`));
  }
}

/**
 * From a place on the screen to one in the figure. The box is where the panel lay when it was taken hold of.
 * @param {SVGSVGElement} panel
 */
function placeIn(panel) {
  const [left, bottom, wide, high] = (panel.dataset.box ?? "").split(" ").map(Number);
  const [x1, x2, y1, y2] = (panel.dataset.ends ?? "").split(" ").map(Number);
  const screen = panel.getScreenCTM()?.inverse();
  return (/** @type {number} */ clientX, /** @type {number} */ clientY) => {
    const at = new DOMPoint(clientX, clientY).matrixTransform(screen);
    return [x1 + ((at.x - left) / wide) * (x2 - x1), y1 + ((bottom - at.y) / high) * (y2 - y1)];
  };
}

/**
 * Server-sent events from the body of an answer.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<[string, any]>}
 */
async function* events(body) {
  const [reader, decoder] = [body.getReader(), new TextDecoder()];
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (text + decoder.decode(value, { stream: true })).split("\n\n");
    text = parts.pop() ?? "";
    for (const part of parts) {
      const kind = /^event: (.*)$/m.exec(part)?.[1] ?? "message";
      yield [kind, JSON.parse(/^data: (.*)$/m.exec(part)?.[1] ?? "null")];
    }
  }
}
