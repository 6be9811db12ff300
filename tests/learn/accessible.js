/*
 * What a reader who sees little, or uses no mouse, would stumble over on the present page; [] when there is nothing.
 * Names, roles, order of headings, things that cannot be reached, contrast of text (WCAG 2.2: 4.5:1, 3:1 if large).
 */
() => {
  const found = [];
  const shown = (node) => node.checkVisibility({ opacityProperty: false, visibilityProperty: true });
  const say = (node, what) => found.push(`${what}: ${node.outerHTML.slice(0, 120)}`);
  const all = (selector) => [...document.querySelectorAll(selector)].filter(shown);
  const text = (node) => node.innerText?.trim() || node.textContent.trim();
  const named = (node) =>
    node.getAttribute("aria-label") ||
    (node.getAttribute("aria-labelledby") ?? "").split(" ").some((id) => id && text(document.getElementById(id))) ||
    [...(node.labels ?? [])].some(text) ||
    (node.matches("a, button, summary") && text(node)) ||
    node.title;

  if (!document.documentElement.lang) found.push("no language");
  if (document.querySelectorAll("main").length !== 1 || document.querySelectorAll("h1").length !== 1) found.push("not one main and one h1");
  for (const node of all("a, button, summary, input:not([type=hidden]), select, textarea, nav, fieldset, svg[role], [role=group], pre[tabindex]")) {
    if (!named(node)) say(node, "no name");
  }
  for (const node of all("img")) if (!node.alt) say(node, "no text for a picture");
  for (const node of document.querySelectorAll("[tabindex]")) if (node.tabIndex > 0) say(node, "an order of its own");
  for (const node of all("[aria-hidden=true] :is(a, button, input, [tabindex])")) say(node, "hidden and reachable");
  for (const node of all("pre, .scroll")) {
    const scrolls = node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 1;
    if (scrolls && node.tabIndex < 0 && node.ariaHidden !== "true") say(node, "scrolls and cannot be reached");
  }
  let level = 0;
  for (const node of all("h1, h2, h3, h4, h5, h6")) {
    const own = Number(node.tagName[1]);
    if (own > level + 1 && level) say(node, `h${level} is followed by h${own}`);
    level = own;
  }
  for (const node of all("input:not([type=hidden]), select, textarea, button, summary")) {
    const box = (node.closest("label") ?? node).getBoundingClientRect();
    if (box.width < 24 || box.height < 18) say(node, "too small to hit");
  }

  const colours = new Map();
  const parse = (colour) => colours.get(colour) ?? colours.set(colour, read(colour)).get(colour);
  const read = (colour) => {
    const canvas = document.createElement("canvas").getContext("2d");
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const light = ([r, g, b]) =>
    [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
      .reduce((sum, v, place) => sum + v * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = (node) => {
    const colour = parse(getComputedStyle(node).backgroundColor);
    return colour[3] < 1 && node.parentElement ? ground(node.parentElement) : colour;
  };
  for (const node of all("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    const style = getComputedStyle(node);
    if (!own || node.closest("svg, textarea, [hidden]") || !node.getClientRects().length || style.color === "rgba(0, 0, 0, 0)") continue;
    if (node.closest(".skip") && document.activeElement !== node) continue;
    const both = [parse(style.color), ground(node)].map(light).sort((a, b) => b - a);
    const ratio = (both[0] + 0.05) / (both[1] + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.7 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) say(node, `contrast ${ratio.toFixed(2)}`);
  }
  return found;
}
