// The main job with the types of openapi-typescript: register, verify, log in, refresh, me, log out.
import { execFileSync } from "node:child_process";
import createClient from "openapi-fetch";
import type { paths } from "./hallpass.js";

const [url, code] = [process.env.SERVICE_URL!, process.env.CODE_SCRIPT!];
const client = createClient<paths>({ baseUrl: url });
const [email, password] = ["typescript@example.com", "plum tree at dusk"];

function expect<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new Error(`no ${what}`);
  return value;
}

const registered = await client.POST("/v1/register", { body: { email, password } });
const registration_token = expect(registered.data?.registration_token, "registration token");
const digits = execFileSync("python3", [code, email]).toString().trim();
const verified = await client.POST("/v1/verify-email", { body: { registration_token, code: digits } });
if (expect(verified.data, "verified address").email !== email) throw new Error("another address");

const wrong = await client.POST("/v1/token-auth", { body: { username: email, password: "wrong password" } });
if (expect(wrong.error, "error").code !== "invalid_credentials") throw new Error("another error");
const pair = expect((await client.POST("/v1/token-auth", { body: { username: email, password } })).data, "pair");
const refresh_token = expect(pair.refresh_token, "refresh token");
const next = expect((await client.POST("/v1/token-refresh", { body: { refresh_token } })).data, "next pair");

const headers = { Authorization: `Bearer ${next.access_token}` };
const metadata = { theme: "dark", sizes: [1, 2] };
const changed = await client.PATCH("/v1/me", { headers, body: { locale: "ko", metadata } });
expect(changed.data, "changed profile");
const me = expect((await client.GET("/v1/me", { headers })).data, "profile");
if (me.metadata["theme"] !== "dark" || me.locale !== "ko") throw new Error("another profile");

const body = { refresh_token: expect(next.refresh_token, "next refresh token") };
const loggedOut = await client.POST("/v1/token-revoke", { body });
if (loggedOut.response.status !== 204) throw new Error("not logged out");
const after = await client.POST("/v1/token-refresh", { body });
const problem = expect(after.error, "error after the log-out");
if (problem.code !== "refresh_token_revoked") throw new Error(problem.detail);
console.log("openapi-typescript: the main job is done");
