/** A square of cells to draw in: by pointer, or by arrow keys and space. A hidden field holds its rows. */
export class LearnDrawing extends HTMLElement {
  ink = "1"; // what a pointer that is held down leaves behind
  /** @type {HTMLElement[]} */
  cells = [];

  connectedCallback() {
    if (this.cells.length) return;
    const rows = this.field.value.split("-");
    const grid = document.createElement("div");
    grid.setAttribute("role", "grid");
    grid.ariaLabel = `${this.dataset.label}: arrow keys move, space draws`;
    rows.forEach((row, r) => {
      const line = grid.appendChild(document.createElement("div"));
      line.setAttribute("role", "row");
      [...row].forEach((sign, c) => {
        const cell = line.appendChild(document.createElement("div"));
        cell.setAttribute("role", "gridcell");
        cell.ariaLabel = `row ${r + 1}, column ${c + 1}`;
        cell.tabIndex = this.cells.length ? -1 : 0;
        cell.ariaSelected = String(sign === "1");
        this.cells.push(cell);
      });
    });
    const clear = document.createElement("button");
    Object.assign(clear, { type: "button", className: "quiet", textContent: "Clear" });
    clear.addEventListener("click", () => this.set(this.cells, "0"));
    grid.addEventListener("keydown", (event) => this.key(event, rows.length));
    grid.addEventListener("pointerdown", (event) => this.touch(event, true));
    grid.addEventListener("pointermove", (event) => event.buttons && this.touch(event, false));
    this.append(grid, clear);
  }

  get field() {
    return /** @type {HTMLInputElement} */ (this.querySelector("input"));
  }

  /**
   * @param {KeyboardEvent} event
   * @param {number} side
   */
  key(event, side) {
    const here = this.cells.indexOf(/** @type {HTMLElement} */ (event.target));
    const column = here % side;
    const ways = new Map([
      ["ArrowLeft", column ? -1 : 0], ["ArrowRight", column < side - 1 ? 1 : 0],
      ["ArrowUp", -side], ["ArrowDown", side], ["Home", -column], ["End", side - 1 - column],
    ]);
    const way = ways.get(event.key);
    if (event.key === " ") this.set([this.cells[here]], this.cells[here].ariaSelected === "true" ? "0" : "1");
    else if (way === undefined) return;
    else this.go(this.cells[here + way]);
    event.preventDefault();
  }

  /** @param {HTMLElement | undefined} cell where the keys are now; none is beyond the border */
  go(cell) {
    if (!cell) return;
    for (const other of this.cells) other.tabIndex = other === cell ? 0 : -1;
    cell.focus();
  }

  /**
   * The first cell turns over; those that the pointer is drawn across become as it is.
   * @param {PointerEvent} event
   * @param {boolean} first
   */
  touch(event, first) {
    const cell = this.cells.find((each) => each === document.elementFromPoint(event.clientX, event.clientY));
    if (!cell) return;
    event.preventDefault();
    if (first) this.ink = cell.ariaSelected === "true" ? "0" : "1";
    if (first) this.go(cell);
    this.set([cell], this.ink);
  }

  /**
   * @param {HTMLElement[]} cells
   * @param {string} ink "1", or "0" for none
   */
  set(cells, ink) {
    for (const cell of cells) cell.ariaSelected = String(ink === "1");
    const signs = this.cells.map((cell) => (cell.ariaSelected === "true" ? "1" : "0"));
    const side = Math.sqrt(signs.length);
    const rows = Array.from({ length: side }, (_, row) => signs.slice(row * side, (row + 1) * side).join(""));
    if (this.field.value === rows.join("-")) return;
    this.field.value = rows.join("-");
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
