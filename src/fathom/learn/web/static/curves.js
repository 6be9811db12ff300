/**
 * A panel of lines as a chart (uPlot) that follows its figure and tells the values at a place. It lies over the
 * picture that came from the server, which goes on giving it its room, and is what is printed.
 *
 * @typedef {{title: string, x: string, y: string, log: boolean, curves: Curve[]}} Look which stays over a run
 * @typedef {{name: string, tone: number, dash: number[]}} Curve
 * @typedef {{look: Look, dots: boolean[], ends: number[], ticks: number[][], tables: (number | null)[][][]}} Numbers
 * @typedef {{
 *   data: (number | null | undefined)[][], cursor: {idx: number | null}, over: HTMLElement, redraw(): void,
 *   setData(data: object): void, setSize(size: object): void, setCursor(place: object): void, destroy(): void,
 * }} Plot what is used of uPlot
 */
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const [LEFT, BELOW, ABOVE, RIGHT] = [52, 24, 6, 12]; // room around the axes
const [VALUE, LETTER] = [7, 0.85]; // digits of a long value; how wide a letter of a name is beside them
const LEAP = 10; // PageUp and PageDown go as many parts of the way
/** @type {Set<LearnCurves>} */
const shown = new Set();
/** @type {Promise<any> | undefined} */
let library;

/** The library and its sheet, once they are there; fetched when the first chart asks. */
function load() {
  const near = (/** @type {string} */ name) => String(new URL(`vendor/${name}`, import.meta.url));
  const sheet = Object.assign(document.createElement("link"), { rel: "stylesheet", href: near("uplot.css") });
  const styled = new Promise((resolve, reject) => Object.assign(sheet, { onload: resolve, onerror: reject }));
  document.head.prepend(sheet); // what page.css says of it comes later, and holds
  return Promise.all([import(near("uplot.mjs")), styled]).then(([module]) => module.default);
}

export class LearnCurves extends HTMLElement {
  /** @type {Plot | undefined} */
  plot;
  /** @type {Numbers} */
  numbers = JSON.parse(this.dataset.numbers ?? "null");
  /** @type {number | undefined} */
  held; // the x at which a reader looks; undefined: the end of the lines
  board = document.createElement("div");
  watch = new ResizeObserver(() => this.plot?.setSize(this.room()));

  async connectedCallback() {
    try {
      const Chart = await (library ??= load());
      if (this.isConnected) this.build(Chart);
    } catch {
      library = undefined; // the picture stays; the next panel asks again
    }
  }

  disconnectedCallback() {
    this.plot?.destroy();
    this.watch.disconnect();
    shown.delete(this);
  }

  get stage() {
    return /** @type {HTMLElement} */ (this.board.querySelector(".plot"));
  }

  room() {
    return { width: this.stage.clientWidth, height: this.stage.clientHeight };
  }

  /** @param {any} Chart uPlot */
  build(Chart) {
    const { look } = this.numbers;
    this.join = Chart.join;
    this.board.className = "chart";
    this.board.setAttribute("role", "group");
    this.board.ariaLabel = look.title;
    const row = (/** @type {string} */ name) => `<tr><th scope="row">${name}</th><td></td></tr>`;
    const rows = look.curves.map((curve) => row(`${sign(curve)}<span></span>`)).join("");
    this.board.innerHTML = `<p class="title"></p><table><tbody>${row("")}${rows}</tbody></table><small></small>
      <div class="plot" role="slider" tabindex="0"></div><small class="across"></small>`;
    const words = [look.title, look.x || "x", ...look.curves.map((curve) => curve.name), look.y, look.x];
    this.board.querySelectorAll(".title, th:not(:has(span)), th span, small").forEach((part, place) => {
      part.textContent = words[place];
    });
    const longest = Math.max(...words.slice(1, -2).map((word) => word.length));
    this.board.style.setProperty("--key", `calc(${longest * LETTER + VALUE}ch + 2.6rem)`);
    this.append(this.board);
    this.stage.ariaLabel = `${look.title}: arrow keys move along ${look.x || "x"}`;
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("focus", () => this.voice());
    const plot = (this.plot = new Chart({ ...this.options(), ...this.room() }, this.columns(), this.stage));
    plot.over.addEventListener("mouseleave", () => (this.held = undefined));
    this.toggleAttribute("data-live", true);
    this.watch.observe(this.stage);
    shown.add(this);
    this.tell();
  }

  /** What uPlot is told. Its colours are asked for at every drawing, so that another theme needs no other chart. */
  options() {
    const { look } = this.numbers;
    const colour = (/** @type {string} */ name) => () => getComputedStyle(this).getPropertyValue(`--${name}`).trim();
    const fine = window.devicePixelRatio || 1;
    const axis = (/** @type {number} */ way) => ({
      stroke: colour("soft"), font: FONT, size: way ? LEFT : BELOW, gap: 4,
      splits: () => this.numbers.ticks[way],
      filter: (/** @type {Plot} */ _, /** @type {number[]} */ ticks) => ticks,
      values: (/** @type {Plot} */ _, /** @type {number[]} */ ticks) => ticks.map(told),
      grid: { show: way === 1, stroke: colour("grid"), width: 1 },
      ticks: { show: way === 0, stroke: colour("soft"), width: 1, size: 4 },
      border: { show: way === 0, stroke: colour("soft"), width: 1 },
    });
    const ends = (/** @type {number} */ from) => () => this.numbers.ends.slice(from, from + 2);
    return {
      legend: { show: false }, padding: [ABOVE, RIGHT, 0, 0], axes: [axis(0), axis(1)],
      scales: { x: { time: false, range: ends(0) }, y: { distr: look.log ? 3 : 1, range: ends(2) } },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
      series: [{}, ...look.curves.map((curve, place) => ({
        stroke: colour(`t${curve.tone}`), width: 2, dash: curve.dash.map((part) => part * fine), spanGaps: false,
        points: { show: () => this.numbers.dots[place], size: 6, fill: colour(`t${curve.tone}`) },
      }))],
      hooks: { setCursor: [() => this.tell()] },
    };
  }

  columns() {
    const { tables } = this.numbers;
    return tables.length > 1 ? this.join(tables) : tables[0];
  }

  /**
   * The next frame: the same lines go on, others need another chart. False before there is any chart.
   * @param {HTMLElement} next the same panel, as it came
   */
  take(next) {
    if (!this.plot) return false;
    /** @type {Numbers} */
    const numbers = JSON.parse(next.dataset.numbers ?? "null");
    const picture = next.querySelector("svg");
    if (!picture || JSON.stringify(numbers.look) !== JSON.stringify(this.numbers.look)) return false;
    this.querySelector(":scope > svg")?.replaceWith(picture);
    this.numbers = numbers;
    this.plot.setData(this.columns());
    if (this.held !== undefined) this.look(this.held);
    this.tell();
    return true;
  }

  /** @param {number} x to look at, between the ends that come into force with the next drawing */
  look(x) {
    const [from, to] = this.numbers.ends;
    this.plot?.setCursor({ left: ((x - from) / (to - from)) * this.plot.over.clientWidth, top: 0 });
  }

  /** Which point is looked at: the one at the cursor, or the last. */
  get place() {
    return this.plot?.cursor.idx ?? this.last;
  }

  get last() {
    return (this.plot?.data[0].length ?? 1) - 1;
  }

  /** The values at the place, beside the names. */
  tell() {
    const values = this.plot?.data.map((column) => column[this.place]) ?? [];
    this.board.querySelectorAll("td").forEach((cell, place) => {
      const text = told(values[place]);
      if (cell.textContent !== text) cell.textContent = text;
    });
    if (document.activeElement !== this.stage) this.voice(); // while it runs nobody is talked to
  }

  /** The same for those who hear it: a slider's text is read out when the keys move it. */
  voice() {
    const [x, ...values] = [...this.board.querySelectorAll("td")].map((cell) => cell.textContent);
    const { look } = this.numbers;
    const said = values.map((value, place) => `${look.curves[place].name} ${value === NONE ? "no value" : value}`);
    const now = { ariaValueMin: "0", ariaValueMax: String(this.last), ariaValueNow: String(this.place) };
    Object.assign(this.stage, now, { ariaValueText: `${look.x || "x"} ${x}: ${said.join(", ")}` });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const leap = Math.max(1, Math.round(this.last / LEAP));
    const ways = new Map([
      ["ArrowLeft", -1], ["ArrowDown", -1], ["ArrowRight", 1], ["ArrowUp", 1],
      ["PageDown", -leap], ["PageUp", leap], ["Home", -this.last], ["End", this.last],
    ]);
    const way = ways.get(event.key);
    if (event.key === "Escape") this.plot?.setCursor({ left: -10, top: -10 });
    else if (way === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    else this.look(Number(this.plot?.data[0][Math.min(Math.max(this.place + way, 0), this.last)]));
    this.held = event.key === "Escape" ? undefined : Number(this.plot?.data[0][this.place]);
    event.preventDefault();
    this.voice();
  }
}

const NONE = "–";

/** @param {number | null | undefined} value as at the axes of the picture, in four digits */
function told(value) {
  if (value === null || value === undefined) return NONE;
  const size = Math.abs(value);
  if (value !== 0 && (size >= 1e5 || size < 1e-3)) return value.toExponential(1).replace(/\.0(?=e)|\+/g, "");
  return String(Number(value.toPrecision(4)));
}

/** @param {Curve} curve a piece of it */
function sign({ tone, dash }) {
  return `<svg viewBox="0 0 30 6" aria-hidden="true"><line x2="30" y1="3" y2="3" stroke="var(--t${tone})"
    stroke-width="3" stroke-dasharray="${dash.join(" ")}"/></svg>`;
}

const again = () => shown.forEach((chart) => chart.plot?.redraw());
new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["data-theme"] });
for (const wish of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)", "print"]) {
  matchMedia(wish).addEventListener("change", again);
}
customElements.define("learn-curves", LearnCurves);
