// Asking the server, and the small things that inputs and outputs share.

export const token = new URLSearchParams(location.hash.slice(1)).get("token");
const status = document.getElementById("status");

/** Headers that identify this page to a server that asks for a token. */
const identified = (headers = {}) => (token ? { ...headers, authorization: `Bearer ${token}` } : headers);

/** An element with properties and children; strings become text. */
export function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** A line about what is going on, or what went wrong. */
export function say(text, bad = false) {
  status.textContent = text;
  status.classList.toggle("bad", bad);
}

/** What the server says about its model: preprocessing, an example, metrics. */
export const described = fetch("/about", { headers: identified() }).then(async (reply) => {
  if (reply.status === 401) throw new Error("This server asks for a token: open the address that was printed at start.");
  if (!reply.ok) throw new Error((await reply.json()).error);
  return reply.json();
});

let asked = 0;

/** Ask the model. The newest question wins when answers overtake each other. */
export async function ask(body, type) {
  const turn = ++asked;
  const began = performance.now();
  say("Asking ...");
  try {
    const reply = await fetch("/predict", { method: "POST", headers: identified({ "content-type": type }), body });
    const answer = await reply.json();
    if (turn !== asked) return;
    if (!reply.ok) return say(answer.error, true);
    say(`Answered in ${Math.round(performance.now() - began)} ms by ${answer.model}`);
    document.dispatchEvent(new CustomEvent("answer", { detail: answer }));
  } catch (error) {
    if (turn === asked) say(`The server does not answer: ${error.message}`, true);
  }
}

export const askJson = (item) => ask(JSON.stringify(item), "application/json");

/** Nothing is asked any more: a question under way is forgotten, outputs are emptied. */
export function forget() {
  asked++;
  say("");
  document.dispatchEvent(new CustomEvent("forget"));
}

const parts = {};

/** Give one named part of an item, and others with it; it is asked when every input has given its part. */
export function give(field, value, others = {}) {
  const inputs = [...document.querySelectorAll("#widget [field]")].filter((e) => e.localName.endsWith("-input"));
  for (const input of inputs) input.contribute?.(parts); // what stands there now, asked for or not
  Object.assign(parts, others, { [field]: value });
  const wanted = inputs.map((input) => input.getAttribute("field")).filter((name) => !(name in parts));
  if (wanted.length) return say(`Still wanted: ${wanted.join(", ")}`);
  askJson(parts);
}
