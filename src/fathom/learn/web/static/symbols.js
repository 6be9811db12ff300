/** While the pointer is on a symbol of a formula, what it means stands beside it. */
export function explainSymbols() {
  const meanings = document.querySelectorAll("#symbols > li");
  if (!meanings.length) return;
  const note = Object.assign(document.createElement("div"), { id: "meaning", hidden: true });
  document.body.append(note);
  document.addEventListener("pointerover", (event) => {
    const symbol = /** @type {Element} */ (event.target).closest("[data-symbol]");
    const meaning = meanings[Number(symbol?.getAttribute("data-symbol") ?? -1)];
    note.hidden = !meaning;
    if (!symbol || !meaning) return;
    note.replaceChildren(meaning.cloneNode(true));
    const box = symbol.getBoundingClientRect();
    const room = document.documentElement.clientWidth - note.offsetWidth - 8;
    note.style.left = `${Math.max(8, Math.min(box.left, room)) + scrollX}px`;
    note.style.top = `${box.bottom + 6 + scrollY}px`;
  });
}
