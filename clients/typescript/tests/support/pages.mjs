/** Servers of pages: the built app, and attackers. */
import { readFile } from "node:fs/promises";
import http from "node:http";
import { extname, join, normalize } from "node:path";
import { listen } from "./listen.mjs";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

/** Serves the files of `folder`, or an empty page without one. */
export async function pageServer(folder) {
  const server = http.createServer(async (request, response) => {
    const path = normalize(new URL(request.url, "http://page").pathname);
    const file = path === "/" ? "/index.html" : path;
    try {
      const content = folder ? await readFile(join(folder, file)) : "<!doctype html><title>Stranger</title>";
      response.writeHead(200, { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream" });
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  const origin = await listen(server);
  return { origin, close: () => (server.closeAllConnections(), server.close()) };
}
