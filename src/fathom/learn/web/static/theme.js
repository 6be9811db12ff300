// Before anything is drawn: the colours that this reader chose, if any.
"use strict";
(() => {
  const kept = localStorage.getItem("fathom-theme");
  if (kept) document.documentElement.dataset.theme = kept;
  document.addEventListener("DOMContentLoaded", () => {
    const choice = /** @type {HTMLSelectElement} */ (document.getElementById("theme"));
    choice.value = kept ?? "";
    /** @type {HTMLElement} */ (choice.parentElement).hidden = false;
    choice.addEventListener("change", () => {
      localStorage.setItem("fathom-theme", choice.value);
      if (choice.value) document.documentElement.dataset.theme = choice.value;
      else delete document.documentElement.dataset.theme;
    });
  });
})();
