/** Measures the minified and gzipped client with its dependency: size.mjs MAXIMUM (in bytes). */
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const maximum = Number(process.argv[2]);

async function measure(external) {
  const { outputFiles } = await build({
    entryPoints: ["dist/index.js"],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    write: false,
    external,
  });
  return gzipSync(outputFiles[0].contents, { level: 9 }).length;
}

const [whole, own] = [await measure([]), await measure(["openapi-fetch"])];
console.log(`${whole} bytes gzipped, ${own} without openapi-fetch; at most ${maximum}`);
if (whole > maximum) process.exit(1);
