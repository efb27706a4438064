// Starts the certified provider `oidc-provider` on loopback, with one confidential client, PKCE required,
// and one user for every log-in name. It needs no browser: the log-in form takes a POST.
//
//   node provider.mjs [REDIRECT_URI] [PORT]
//
// Prints one line of JSON: the issuer and the client. For each line `AUTHORIZATION_URL LOGIN` of standard
// input it logs in as a browser would and prints the URL that the browser is sent back to. Ends with its
// standard input.

import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

const redirectUri = process.argv[2] ?? "http://127.0.0.1:8000/v1/social/test/callback";
const server = createServer();
await new Promise((ready) => server.listen(Number(process.argv[3] ?? 0), "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
const client = {
  client_id: "hallpass",
  client_secret: randomBytes(24).toString("base64url"),
  redirect_uris: [redirectUri],
};

// The subject is opaque and stable; the address is verified unless the name begins with "unverified".
const account = (_context, id) => ({
  accountId: id,
  claims: () => ({
    sub: id,
    name: `User ${id}`,
    email: `${id}@example.com`,
    email_verified: !id.startsWith("unverified"),
  }),
});

const provider = new Provider(issuer, {
  clients: [client],
  findAccount: account,
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  cookies: { keys: [randomBytes(16).toString("hex")] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_context, interaction) => `/login/${interaction.uid}` },
  ttl: { AccessToken: 300, AuthorizationCode: 60, IdToken: 300, Interaction: 600, Grant: 600, Session: 600 },
});

// The log-in form: GET shows it, POST `login=NAME` logs in and consents, unless the name begins with
// "refusing".
async function interact(request, response) {
  const details = await provider.interactionDetails(request, response);
  if (request.method !== "POST") {
    response.writeHead(200, { "content-type": "text/html" });
    response.end('<form method="post"><input name="login" autofocus><button>Log in</button></form>');
    return;
  }
  let body = "";
  for await (const part of request) body += part;
  const login = new URLSearchParams(body).get("login") ?? "mina";
  if (login.startsWith("refusing")) {
    const refusal = { error: "access_denied", error_description: "The user refused." };
    await provider.interactionFinished(request, response, refusal);
    return;
  }
  const grant = new provider.Grant({ accountId: login, clientId: details.params.client_id });
  grant.addOIDCScope(details.params.scope);
  const consent = { grantId: await grant.save() };
  await provider.interactionFinished(request, response, { login: { accountId: login }, consent });
}

const callback = provider.callback();
server.on("request", (request, response) => {
  const isLogin = request.url.startsWith("/login/");
  Promise.resolve(isLogin ? interact(request, response) : callback(request, response)).catch((error) => {
    response.writeHead(500);
    response.end(String(error));
  });
});

// Follows an authorization URL as a browser would, to the redirect URI.
async function logIn(authorizationUrl, login) {
  const jar = new Map();
  const request = async (url, options = {}) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(url, { redirect: "manual", ...options, headers: { ...options.headers, cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [pair] = line.split(";");
      jar.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
    }
    return new URL(answer.headers.get("location") ?? url, url).href;
  };
  let at = await request(authorizationUrl);
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  at = await request(at, { method: "POST", body: `login=${login}`, headers });
  while (at.startsWith(issuer)) at = await request(at);
  return at;
}

console.log(JSON.stringify({ issuer, client_id: client.client_id, client_secret: client.client_secret }));
for await (const line of createInterface(process.stdin)) {
  const [url, login] = line.split(" ");
  console.log(await logIn(url, login));
}
process.exit(0);
