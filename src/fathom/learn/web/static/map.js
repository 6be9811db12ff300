/** The map: what a topic needs, and what needs it, lights up while it is pointed at or has the focus. */
export class LearnMap extends HTMLElement {
  connectedCallback() {
    for (const name of ["pointerover", "focusin"]) this.addEventListener(name, (event) => this.light(event.target));
    this.addEventListener("focusin", (event) => {
      // A map that is wider than the screen: browsers do not bring a part of a picture into sight by themselves.
      /** @type {Element} */ (event.target).scrollIntoView({ block: "nearest", inline: "nearest" });
    });
    for (const name of ["pointerleave", "focusout"]) this.addEventListener(name, () => this.light(null));
  }

  /** @param {EventTarget | null} target */
  light(target) {
    const slug = target instanceof Element ? target.closest("[data-slug]")?.getAttribute("data-slug") : null;
    const near = new Set();
    for (const line of this.querySelectorAll("path")) {
      const [from, to] = [line.dataset.from, line.dataset.to];
      const lit = slug !== null && (from === slug || to === slug);
      line.classList.toggle("lit", lit);
      if (lit) near.add(from).add(to);
    }
    this.classList.toggle("pointed", near.size > 0);
    for (const box of this.querySelectorAll("[data-slug]")) {
      box.classList.toggle("lit", near.has(box.getAttribute("data-slug")));
    }
  }
}
