// The page of a served model. A task's page() places input and output elements in #widget; inputs send an
// item to /predict, outputs show the answer. Labels, names and answers become text nodes, never markup.

import { described, say, token } from "./asking.js";
import { INPUTS } from "./inputs.js";
import { OUTPUTS } from "./outputs.js";

for (const [name, kind] of Object.entries({ ...INPUTS, ...OUTPUTS })) customElements.define(name, kind);

/** What a shell takes as one word. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The command that asks what this page asks. */
function command(about) {
  const key = token ? ` -H ${quoted(`Authorization: Bearer ${token}`)}` : "";
  const start = `curl${key} ${location.origin}/predict`;
  if (document.querySelector("#widget image-input:not([field])")) {
    return `${start} -H 'Content-Type: image/png' --data-binary @picture.png`;
  }
  const item = JSON.stringify(about.example);
  const shown = item.length > 600 ? `${item.slice(0, 600)} ...` : item;
  return `${start} -H 'Content-Type: application/json' \\\n  -d ${quoted(shown)}`;
}

described.then((about) => {
  document.getElementById("example").textContent = command(about);
  const figures = Object.entries(about.metrics ?? {}).filter(([, value]) => typeof value === "number")
    .slice(0, 2).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`);
  const warmth = about.temperature ? [`calibrated with temperature ${Number(about.temperature.toPrecision(3))}`] : [];
  const words = [about.task.name.replaceAll("_", " "), ...figures, ...warmth];
  document.getElementById("about").textContent = words.join(", ");
}).catch((error) => say(error.message, true));
