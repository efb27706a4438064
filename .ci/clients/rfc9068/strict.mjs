// strict.mjs TOKEN: the access token, held to RFC 9068 by oauth4webapi and express-oauth2-jwt-bearer.
import { once } from "node:events";
import express from "express";
import { auth } from "express-oauth2-jwt-bearer";
import { validateJwtAccessToken, allowInsecureRequests } from "oauth4webapi";

const [issuer, token] = [process.env.SERVICE_URL, process.argv[2]];
const jwks_uri = `${issuer}/.well-known/jwks.json`;

const request = new Request("https://api.example.com/", { headers: { authorization: `Bearer ${token}` } });
const claims = await validateJwtAccessToken({ issuer, jwks_uri }, request, issuer, {
  [allowInsecureRequests]: true,
  signingAlgorithms: ["ES256"],
});
if (claims.client_id !== "hallpass") throw new Error("oauth4webapi: no client_id");
console.log("oauth4webapi accepts the token");

const app = express();
app.use(auth({ issuer, jwksUri: jwks_uri, audience: issuer, strict: true, tokenSigningAlg: "ES256" }));
app.get("/", (request, response) => response.json(request.auth.payload));
app.use((error, request, response, next) => response.status(error.status ?? 500).send(error.message));
const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${server.address().port}/`;
const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
server.close();
if (answer.status !== 200) throw new Error(`express-oauth2-jwt-bearer: ${await answer.text()}`);
console.log("express-oauth2-jwt-bearer accepts the token, in its strict mode");
