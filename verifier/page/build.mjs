// Builds the page: one HTML file with its style and script inside, and a policy that lets nothing else run or load.
//
//   node build.mjs         → dist/clyra-verify.html, and dist/verify.mjs: the same checks for the tests
//
// The same sources give the same bytes. It fetches nothing.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const here = (path) => new URL(path, import.meta.url);

/** All schemas of entries, as one module: a new kind of entry needs no new line here. */
const schemas = {
  name: "schemas",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^clyra:schemas$/ }, ({ path }) => ({ path, namespace: "schemas" }));
    onLoad({ filter: /.*/, namespace: "schemas" }, () => {
      const folder = here("../../spec/schema/common/");
      const read = (name) => JSON.parse(readFileSync(new URL(name, folder), "utf8"));
      return { contents: JSON.stringify(readdirSync(folder).sort().map(read)), loader: "json" };
    });
  },
};

const common = {
  absWorkingDir: here(".").pathname,
  bundle: true,
  charset: "ascii",
  legalComments: "none",
  loader: { ".txt": "text" },
  logLevel: "warning",
  plugins: [schemas],
  target: "es2022",
  write: false,
};

async function built(entry, options) {
  const { outputFiles } = await build({ ...common, ...options, entryPoints: [entry] });
  return outputFiles[0].text.trim();
}

const source = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
const version = /\[workspace\.package\][^[]*?\nversion = "([^"]+)"/.exec(readFileSync(here("../../Cargo.toml"), "utf8"))[1];
const script = await built("src/view/main.ts", { format: "iife", minify: true });
const style = await built("src/view/page.css", { minify: true });
const policy = [
  "default-src 'none'",
  `script-src ${source(script)}`,
  `style-src ${source(style)}`,
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
].join("; ");
const parts = { policy, style, script, version: `Clyra ${version}` };
const page = readFileSync(here("src/view/page.html"), "utf8").replace(/\{\{(\w+)\}\}/g, (_, part) => parts[part]);
mkdirSync(here("dist"), { recursive: true });
writeFileSync(here("dist/clyra-verify.html"), page);
writeFileSync(here("dist/verify.mjs"), await built("src/verify.ts", { format: "esm", platform: "neutral", mainFields: ["module"] }));
const digest = createHash("sha256").update(page).digest("hex");
console.log(`verifier/page/dist/clyra-verify.html  ${Buffer.byteLength(page)} bytes  SHA-256 ${digest}`);
