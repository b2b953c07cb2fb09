// Builds static/vendor from the exact versions of package-lock.json; the results are committed, so that installing
// dex needs no Node. `node frontend/build.mjs` writes them, `--check` says whether they are what would be written.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const modules = join(root, "node_modules");

// The icons that templates and graphs use, by Lucide's names.
const icons = (await readFile(join(root, "frontend/icons.txt"), "utf8")).split(/\s+/).filter(Boolean).sort();

async function sprite() {
  const symbols = await Promise.all(
    icons.map(async (name) => {
      const svg = await readFile(join(modules, `lucide-static/icons/${name}.svg`), "utf8");
      const inside = svg.slice(svg.indexOf(">", svg.indexOf("<svg")) + 1, svg.lastIndexOf("</svg>"));
      return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${inside.replace(/\s+/g, " ").trim()}</symbol>`;
    }),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`;
}

async function graph() {
  const made = await build({
    entryPoints: [join(root, "frontend/graph/index.jsx")],
    bundle: true,
    write: false,
    outdir: "/out",
    entryNames: "graph",
    format: "esm",
    target: "es2022",
    minify: true,
    jsx: "automatic",
    legalComments: "none",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  return Object.fromEntries(made.outputFiles.map((file) => [file.path.replace(/^.*[/\\]out[/\\]/, ""), file.contents]));
}

const copied = (path) => readFile(join(modules, path));
const files = {
  "inter.woff2": await copied("@fontsource-variable/inter/files/inter-latin-wght-normal.woff2"),
  "icons.svg": Buffer.from(await sprite()),
  ...(await graph()),
  "LICENSE.inter.txt": await copied("@fontsource-variable/inter/LICENSE"),
  "LICENSE.lucide.txt": await copied("lucide-static/LICENSE"),
  "LICENSE.react-flow.txt": await copied("@xyflow/react/LICENSE"),
  "LICENSE.react.txt": await copied("react/LICENSE"),
};

const check = process.argv.includes("--check");
let stale = 0;
for (const [name, wanted] of Object.entries(files)) {
  const path = join(root, "static/vendor", name);
  if (check) {
    const there = await readFile(path).catch(() => Buffer.alloc(0));
    if (Buffer.compare(there, Buffer.from(wanted))) {
      console.error(`static/vendor/${name} is not what package-lock.json gives; run: npm ci && npm run build`);
      stale += 1;
    }
  } else {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, wanted);
  }
}
process.exit(stale ? 1 : 0);
