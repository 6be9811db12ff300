// The elements that make a page answer at once. Without them every form and link still works.
import { LearnDrawing } from "./drawing.js";
import { LearnEditor } from "./editor.js";
import { LearnFigure } from "./figure.js";
import { LearnForm } from "./form.js";
import { LearnMap } from "./map.js";
import { drawFormulas } from "./maths.js";
import { explainSymbols } from "./symbols.js";

customElements.define("learn-drawing", LearnDrawing);
customElements.define("learn-editor", LearnEditor);
customElements.define("learn-figure", LearnFigure);
customElements.define("learn-form", LearnForm);
customElements.define("learn-map", LearnMap);
drawFormulas();
explainSymbols();
noticeReading();

/** A page that was open and in view for a few seconds was read. */
function noticeReading() {
  const topic = location.pathname.match(/^\/topic\/[^/]+$/);
  if (!topic || !document.querySelector("article")) return;
  let seconds = 0;
  const timer = setInterval(() => {
    if (document.visibilityState !== "visible" || ++seconds < 5) return;
    clearInterval(timer);
    fetch(`${topic[0]}/read`, { method: "POST", headers: { "x-part": "1" } }).catch(() => {});
  }, 1000);
}
