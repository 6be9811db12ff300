// Writes what the pages of `fathom learn` take from others: one bundle each, sheets, fonts, licences, a manifest.
//
//     npm ci --ignore-scripts && node build.mjs [FOLDER]
//
// The same versions give the same bytes, so tests/learn/test_vendor.py can build again and compare.
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const PAGES = join(HERE, "..", "..", "src", "fathom", "learn", "web", "vendor");
const OUT = resolve(process.argv[2] ?? PAGES);
const MODULES = join(HERE, "node_modules");
// What each bundle is made from: the pages load them as modules, each only where it is needed.
const BUNDLES = {
  "katex.mjs": { contents: 'import katex from "katex"; export const render = katex.render;', resolveDir: HERE },
  "uplot.mjs": { contents: 'export { default } from "uplot";', resolveDir: HERE },
  "codemirror.mjs": { contents: text(join(HERE, "codemirror.mjs")), resolveDir: HERE },
};

if (!existsSync(MODULES)) {
  console.error("The packages are not there: run `npm ci --ignore-scripts` in tools/vendor, or `make vendor`.");
  process.exit(1);
}
rmSync(OUT, { recursive: true, force: true });
mkdirSync(join(OUT, "fonts"), { recursive: true });
const packages = new Map();
for (const [name, stdin] of Object.entries(BUNDLES)) await bundle(name, stdin);
writeSheets();
writeFileSync(join(OUT, "LICENCES.txt"), licences());
writeFileSync(join(OUT, "manifest.json"), manifest());

function text(path) {
  return readFileSync(path, "utf8").replaceAll("\r\n", "\n");
}

/** One file of all modules that an entry reaches; whose they are is kept in `packages`. */
async function bundle(name, stdin) {
  const { metafile } = await build({
    stdin, outfile: join(OUT, name), absWorkingDir: HERE, metafile: true, logLevel: "warning",
    bundle: true, minify: true, format: "esm", target: "es2022", legalComments: "none",
  });
  for (const path of Object.keys(metafile.inputs)) {
    const found = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path.replaceAll(sep, "/"));
    if (!found) continue;
    const { version, license } = JSON.parse(text(join(MODULES, found[1], "package.json")));
    const users = packages.get(found[1])?.in ?? new Set();
    packages.set(found[1], { version, license, in: users.add(name) });
  }
}

/** KaTeX's sheet with its fonts, each in the one format that every browser of today reads; and uPlot's. */
function writeSheets() {
  const source = join(MODULES, "katex", "dist");
  const sheet = text(join(source, "katex.min.css"));
  writeFileSync(join(OUT, "katex.css"), sheet.replaceAll(/,url\([^)]+\.(woff|ttf)\) format\("\w+"\)/g, ""));
  for (const font of readdirSync(join(source, "fonts")).filter((file) => file.endsWith(".woff2"))) {
    cpSync(join(source, "fonts", font), join(OUT, "fonts", font));
  }
  writeFileSync(join(OUT, "uplot.css"), text(join(MODULES, "uplot", "dist", "uPlot.min.css")));
}

/** The whole licence of every package of which something is in a bundle, and that of the fonts. */
function licences() {
  const parts = [...packages].sort().map(([name, { version, license, in: users }]) => {
    const file = readdirSync(join(MODULES, name)).find((entry) => /^licen[cs]e/i.test(entry));
    if (!file) throw new Error(`${name} brings no licence; it must not be shipped`);
    return section(`${name} ${version} (${license}), in ${[...users].join(", ")}`, text(join(MODULES, name, file)));
  });
  const fonts = section("The fonts of KaTeX (OFL-1.1), in fonts/", text(join(HERE, "fonts_licence.txt")));
  const head = "The files beside this one are made from the following packages; tools/vendor of Fathom builds them.\n";
  return [head, ...parts, fonts].join("\n");
}

function section(title, licence) {
  return `${"=".repeat(100)}\n${title}\n${"=".repeat(100)}\n\n${licence.trim()}\n`;
}

/** The versions, and size and SHA-256 of every other file. */
function manifest() {
  const files = readdirSync(OUT, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const facts = files.map((entry) => {
    const path = join(entry.parentPath, entry.name);
    const sha256 = createHash("sha256").update(readFileSync(path)).digest("hex");
    return [relative(OUT, path).replaceAll(sep, "/"), { bytes: statSync(path).size, sha256 }];
  });
  const used = [...packages].sort().map(([name, { version, license, in: users }]) => [
    name, { version, license, in: [...users] },
  ]);
  const whole = { packages: Object.fromEntries(used), files: Object.fromEntries(facts.sort()) };
  return `${JSON.stringify(whole, null, 2)}\n`;
}
