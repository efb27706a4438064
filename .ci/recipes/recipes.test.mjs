/**
 * The recipes of docs/checking-tokens.md, word for word, against the live service.
 *
 * Each block of the page becomes a small API. Hallpass stands behind a proxy with TLS that adds a
 * key to its key set: with that key the test signs tokens that have exactly one fault.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import crypto from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "../../clients/typescript/tests/support/listen.mjs";
import { startHallpass } from "../../clients/typescript/tests/support/service.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const page = readFileSync(here("../../docs/checking-tokens.md"), "utf8");
const python = process.env.RECIPES_PYTHON;
const modules = process.env.RECIPES_NODE_MODULES;
const TIMEOUT = { timeout: 60_000 };
const KID = "a key of this test";

/** How a block is started: what it defines, which faults it need not see, and which are 403 instead of 401. */
const recipes = {
  PyJWT: { defines: "python" },
  authlib: { defines: "python" },
  jose: { defines: "verify" },
  oauth4webapi: { defines: "verifyRequest" },
  "express-oauth2-jwt-bearer": { defines: "express", blindTo: ["another type"] },
  "express-oauth2-jwt-bearer, strict": { defines: "express" },
  fastify: { defines: "fastify" },
  "passport-jwt": { defines: "express", blindTo: ["another type"] },
  "openid-client": { defines: "verify", asksHallpass: true },
  Envoy: { defines: "envoy", blindTo: ["another type"], forbids: ["another audience"] },
  "ruby-jwt": { defines: "ruby" },
};

/** The language of a block. */
const LANGUAGES = { python: "python", ruby: "ruby", envoy: "yaml" };
/** How a file of a language is named and run. */
const RUNS = { js: ["mjs", process.execPath], python: ["py", python], ruby: ["rb", "ruby"] };

/** What stands before and after a block. */
const BEFORE = {
  js: "const { ISSUER: issuer, API_KEY: apiKey } = process.env;\n",
  python: 'import os\n\nissuer = os.environ["ISSUER"]\n',
  ruby: 'ISSUER = ENV.fetch("ISSUER")\n',
};
const FUNCTION = (call) => `
import http from "node:http";
http.createServer(async ({ headers: { authorization = "" } }, response) => {
  try {
    const { user_id, sub } = await ${call};
    response.end(JSON.stringify({ user_id: user_id ?? Number(sub) }));
  } catch (error) {
    response.writeHead(401).end(String(error));
  }
}).listen(0, "127.0.0.1", function () { console.log(this.address().port); });
`;
const AFTER = {
  verify: FUNCTION('verify(authorization.replace(/^Bearer /, ""))'),
  verifyRequest: FUNCTION('verifyRequest(new Request("https://api.example.com/", { headers: { authorization } }))'),
  express: 'app.listen(0, "127.0.0.1", function () { console.log(this.address().port); });\n',
  fastify: 'await app.listen({ port: 0, host: "127.0.0.1" });\nconsole.log(app.server.address().port);\n',
  python: `

import http.server


class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            claims = verify(self.headers.get("Authorization", "").removeprefix("Bearer "))
            status, body = 200, {"user_id": claims["user_id"]}
        except Exception as error:
            status, body = 401, {"error": repr(error)}
        import json
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Api)
print(server.server_port, flush=True)
server.serve_forever()
`,
  // Errors of the library alone are a 401: others would be a 500 of the application.
  ruby: `
require "socket"

server = TCPServer.new("127.0.0.1", 0)
$stdout.puts(server.addr[1])
$stdout.flush
loop do
  Thread.new(server.accept) do |client|
    token = client.gets("\\r\\n\\r\\n")[/^authorization: Bearer (.*)\\r$/i, 1].to_s
    status, body =
      begin
        [200, JSON.generate(user_id: verify(token)["user_id"])]
      rescue JWT::DecodeError => error
        [401, error.message]
      rescue StandardError => error
        [500, error.full_message]
      end
    client.write("HTTP/1.1 #{status} .\\r\\nContent-Length: #{body.bytesize}\\r\\nConnection: close\\r\\n\\r\\n#{body}")
    client.close
  end
end
`,
};

describe("recipes of docs/checking-tokens.md", () => {
  const folder = mkdtempSync(join(tmpdir(), "hallpass-recipes-"));
  const stops = [() => rmSync(folder, { recursive: true, force: true })];
  let issuer, hallpass, apiKey, pair, own, foreign;

  before(async () => {
    symlinkSync(modules, join(folder, "node_modules"));
    const certificate = selfSigned(folder);
    own = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
    foreign = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
    const port = await freePort();
    hallpass = `http://127.0.0.1:${port}`;
    const jwk = { ...own.publicKey.export({ format: "jwk" }), kid: KID, alg: "ES256", use: "sig" };
    const proxy = https.createServer(certificate, (request, response) => forward(request, response, port, jwk));
    proxy.listen(0, "127.0.0.1");
    await once(proxy, "listening");
    stops.push(() => (proxy.closeAllConnections(), proxy.close()));
    issuer = `https://localhost:${proxy.address().port}`;

    const data = join(folder, "data");
    mkdirSync(data);
    const settings = { HALLPASS_PUBLIC_URL: issuer };
    stops.push(await startHallpass(port, data, settings));
    apiKey = createApiKey(data, settings);
    pair = await registered(hallpass);
  });
  after(async () => {
    for (const stop of stops.reverse()) await stop();
  });

  test("each block of the page is run", () => {
    const heading = /^## Recipes for other libraries$(.*?)^## /ms.exec(page)[1];
    const names = [...heading.matchAll(/^\*\*([^*]+)\*\*(?:(?!^\*\*).)*?^```(?:js|python|yaml|ruby)$/gms)].map(([, name]) => name);
    assert.deepEqual(names, Object.keys(recipes));
  });

  for (const [name, { defines, blindTo = [], forbids = [], asksHallpass }] of Object.entries(recipes)) {
    test(`${name} accepts a valid token and refuses others`, TIMEOUT, async (t) => {
      const ask = await start(t, name, defines);
      const { user_id, sub } = claimsOf(pair.access_token);
      assert.deepEqual(await ask(pair.access_token), { status: 200, user_id }, "a valid token");
      // What is wrong with the others is their fault alone.
      const good = signed({});
      if (!asksHallpass) assert.deepEqual(await ask(good), { status: 200, user_id }, "signed by the other key");

      const faulty = {
        "no token": undefined,
        "no JWT": "x",
        "a refresh token": asksHallpass ? undefined : pair.refresh_token,
        "another audience": signed({ aud: "https://other.example.com" }),
        "another issuer": signed({ iss: "https://other.example.com" }),
        "an expired one": signed({ exp: now() - 60, iat: now() - 120 }),
        "another type": signed({}, { typ: "JWT" }),
        "a foreign key": signed({}, {}, foreign.privateKey),
        "an unknown kid": signed({}, { kid: "unknown" }),
        "no signature": `${part({ alg: "none", typ: "at+jwt" })}.${good.split(".")[1]}.`,
        "the public key as a secret": confused(good, own.publicKey),
        "a short signature": good.slice(0, -10),
        "other claims": [good.split(".")[0], part({ ...claimsOf(good), sub: "1000", user_id: 1000 }), good.split(".")[2]].join("."),
      };
      for (const [fault, token] of Object.entries(faulty)) {
        const { status } = await ask(token);
        if (blindTo.includes(fault)) assert.equal(status, 200, `${fault}: the page says that it is accepted`);
        else if (forbids.includes(fault)) assert.equal(status, 403, fault);
        else assert.ok(status === 401 || (status === 400 && fault === "no token"), `${fault}: ${status}`);
      }
      assert.equal((await ask(pair.access_token)).user_id, Number(sub), "the valid token, afterwards");
    });
  }

  test("openid-client sees a log-out at once", TIMEOUT, async (t) => {
    const { access_token, refresh_token } = await registered(hallpass);
    const ask = await start(t, "openid-client", "verify");
    assert.equal((await ask(access_token)).status, 200);
    assert.equal((await post(`${hallpass}/v1/token-revoke`, { refresh_token })).status, 204);
    assert.equal((await ask(access_token)).status, 401);
  });

  /** Starts the block of the page; the result sends it a request with a token. */
  async function start(t, name, defines) {
    if (defines === "envoy") return startEnvoy(t, name);
    const language = LANGUAGES[defines] ?? "js";
    const [extension, program] = RUNS[language];
    const file = join(folder, `recipe-${name.replaceAll(/\W+/g, "-")}.${extension}`);
    writeFileSync(file, `${BEFORE[language]}${block(name, language)}${AFTER[defines]}`);
    const certificate = join(folder, "certificate.pem");
    const env = { ...process.env, ISSUER: issuer, API_KEY: apiKey, NODE_ENV: "test" };
    Object.assign(env, { NODE_EXTRA_CA_CERTS: certificate, SSL_CERT_FILE: certificate });
    const stdio = ["ignore", "pipe", "inherit"];
    const api = spawn(program, [file], { env, stdio });
    t.after(() => api.kill("SIGKILL"));
    const ended = once(api, "exit").then(([code]) => assert.fail(`${name} ended: ${code}`));
    ended.catch(() => undefined);
    const [port] = await Promise.race([once(createInterface(api.stdout), "line"), ended]);
    return client(port);
  }

  /** Starts Envoy with the block as the providers of `jwt_authn`; it responds with the user id. */
  async function startEnvoy(t, name) {
    const [file, port] = [join(folder, "envoy.yaml"), await freePort()];
    const providers = block(name, "yaml").replaceAll("ISSUER", issuer);
    writeFileSync(file, envoyConfig(providers, port, new URL(issuer).port, join(folder, "certificate.pem")));
    const options = ["-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "warning"];
    const envoy = spawn("envoy", options, { stdio: ["ignore", "inherit", "inherit"] });
    t.after(() => envoy.kill("SIGKILL"));
    const ended = once(envoy, "exit").then(([code]) => assert.fail(`${name} ended: ${code}`));
    let runs = true;
    ended.catch(() => (runs = false));
    const listening = async () => {
      while (runs && !(await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined))) await sleep(50);
    };
    await Promise.race([listening(), ended]);
    return client(port);
  }

  /** The claims of the valid token with these changes, signed by the key that the proxy added. */
  function signed(claims, header = {}, key = own.privateKey) {
    const payload = { ...claimsOf(pair.access_token), ...claims };
    const signing = `${part({ alg: "ES256", typ: "at+jwt", kid: KID, ...header })}.${part(payload)}`;
    const signature = crypto.sign("sha256", signing, { key, dsaEncoding: "ieee-p1363" });
    return `${signing}.${signature.toString("base64url")}`;
  }
});

/** Sends requests with a token to an API at this port. */
function client(port) {
  return async (token) => {
    const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    const answer = await fetch(`http://127.0.0.1:${port}/orders`, { headers });
    const text = await answer.text();
    return answer.ok ? { status: answer.status, user_id: JSON.parse(text).user_id } : { status: answer.status };
  };
}

function envoyConfig(providers, port, issuerPort, certificate) {
  const indented = providers.replaceAll(/^(?=.)/gm, " ".repeat(14));
  return `
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: ${port} } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: api
          route_config:
            virtual_hosts: [{ name: api, domains: ["*"], routes: [{ match: { prefix: / }, direct_response: { status: 500 } }] }]
          http_filters:
          - name: envoy.filters.http.jwt_authn
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
${indented}
              rules: [{ match: { prefix: / }, requires: { provider_name: hallpass } }]
          - name: envoy.filters.http.lua
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
              default_source_code:
                inline_string: |
                  function envoy_on_request(request)
                    local user = request:headers():get("x-auth-user-id")
                    request:respond({ [":status"] = "200" }, '{"user_id":' .. user .. '}')
                  end
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - name: hallpass
    load_assignment:
      cluster_name: hallpass
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${issuerPort} } } } }] }]
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: localhost
        common_tls_context: { validation_context: { trusted_ca: { filename: ${certificate} } } }
`;
}

function block(name, language) {
  const escaped = name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const found = new RegExp(`^\\*\\*${escaped}\\*\\*(?:(?!^\`\`\`).)*?^\`\`\`${language}\\n(.*?)^\`\`\`$`, "ms").exec(page);
  assert.ok(found, `the page has no recipe for ${name}`);
  return found[1];
}

/** TLS in front of Hallpass; the key set is Hallpass's and one more. */
function forward(request, response, port, jwk) {
  const { method, headers, url: path } = request;
  const onward = http.request({ host: "127.0.0.1", port, method, headers, path }, async (answer) => {
    if (path !== "/.well-known/jwks.json") {
      response.writeHead(answer.statusCode, answer.headers);
      return void answer.pipe(response);
    }
    const { keys } = JSON.parse(Buffer.concat(await answer.toArray()));
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(JSON.stringify({ keys: [...keys, jwk] }));
  });
  onward.on("error", () => response.destroy());
  request.pipe(onward);
}

function selfSigned(folder) {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  const name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  execFileSync("openssl", ["req", "-x509", ...curve, ...name, "-keyout", key, "-out", cert], { stdio: "ignore" });
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

function createApiKey(data, settings) {
  const env = { ...process.env, ...settings, HALLPASS_DATA_DIR: data, HALLPASS_SECRET: "only-for-tests-of-clients" };
  const command = ["api-keys", "create", "--name", "orders", "--scope", "introspect"];
  return /hpk_[\w-]+/.exec(execFileSync(process.env.HALLPASS_BIN, command, { env, cwd: join(data, "..") }))[0];
}

async function registered(hallpass) {
  const [email, password] = [`${crypto.randomUUID()}@example.com`, "plum tree at dusk"];
  const { registration_token } = await (await post(`${hallpass}/v1/register`, { email, password })).json();
  const found = await fetch(`${hallpass}/dev/mails?to=${email}&wait=10s`);
  const [{ code }] = (await found.json()).mails;
  return (await post(`${hallpass}/v1/verify-email`, { registration_token, code })).json();
}

function post(url, body) {
  return fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

/** A token that takes the public key for the secret of HS256. */
function confused(token, publicKey) {
  const signing = `${part({ alg: "HS256", typ: "at+jwt", kid: KID })}.${token.split(".")[1]}`;
  const secret = publicKey.export({ type: "spki", format: "pem" });
  return `${signing}.${crypto.createHmac("sha256", secret).update(signing).digest("base64url")}`;
}

const now = () => Math.floor(Date.now() / 1000);
const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const claimsOf = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
