/**
 * A reverse proxy in front of Hallpass that records requests, delays them and breaks
 * connections.
 */
import http from "node:http";
import { listen } from "./listen.mjs";

export class Wire {
  /** `{method, path, origin, cookie, status, headers, body}` of every answered request. */
  exchanges = [];
  /** Awaited before a request and before its response are passed on. (Not for preflights.) */
  beforeRequest = async () => undefined;
  beforeAnswer = async () => undefined;
  /** "down" breaks connections, "unwell" responds 502 like a proxy without an upstream. */
  trouble = undefined;
  /** Accepts every preflight, like a proxy with lax CORS settings. */
  lenient = false;

  static async open(servicePort) {
    const wire = new Wire();
    wire.servicePort = servicePort;
    wire.server = http.createServer((request, response) => {
      wire.pass(request, response).catch(() => response.destroy());
    });
    wire.url = await listen(wire.server);
    return wire;
  }

  /** Requests answered since then. */
  since(mark, path = "") {
    return this.exchanges.slice(mark).filter((exchange) => exchange.path.startsWith(path));
  }

  async pass(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (this.trouble === "down") return response.destroy();
    if (this.trouble === "unwell" && request.method !== "OPTIONS") return unwell(request, response);

    if (this.lenient && request.method === "OPTIONS") return allowEverything(request, response);

    const { method, url: path, headers } = request;
    const real = method !== "OPTIONS";
    if (real) await this.beforeRequest(path);
    const answer = await this.ask({ method, path, headers }, Buffer.concat(chunks));
    const { origin, cookie = "" } = headers;
    this.exchanges.push({ method, path, origin, cookie, ...answer, body: answer.body.toString() });
    if (real) await this.beforeAnswer(path);
    if (response.destroyed) return;
    response.writeHead(answer.status, answer.rawHeaders);
    response.end(answer.body);
  }

  ask(request, body) {
    return new Promise((resolve, reject) => {
      const upstream = http.request({ ...request, host: "127.0.0.1", port: this.servicePort }, async (answer) => {
        const chunks = [];
        for await (const chunk of answer) chunks.push(chunk);
        const { statusCode: status, headers, rawHeaders } = answer;
        resolve({ status, headers, rawHeaders, body: Buffer.concat(chunks) });
      });
      upstream.on("error", reject);
      upstream.end(body);
    });
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

function unwell(request, response) {
  response.writeHead(502, { "Content-Type": "text/html", ...cors(request) });
  response.end("<h1>Bad Gateway</h1>");
}

function allowEverything(request, response) {
  const asked = request.headers["access-control-request-headers"] ?? "";
  response.writeHead(204, { ...cors(request), "Access-Control-Allow-Headers": asked }).end();
}

const cors = (request) => ({
  "Access-Control-Allow-Origin": request.headers.origin ?? "*",
  "Access-Control-Allow-Credentials": "true",
});
