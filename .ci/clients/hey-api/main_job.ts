// The main job with the client of @hey-api/openapi-ts: register, verify, log in, refresh, me, log out.
import { execFileSync } from "node:child_process";
import { createClient } from "./client/client";
import {
  getMe, listMyEvents, type Problem, register, tokenAuth, tokenRefresh, tokenRevoke, tokenVerify, updateMe, verifyEmail,
} from "./client";

const [baseUrl, code] = [process.env.SERVICE_URL!, process.env.CODE_SCRIPT!];
const client = createClient({ baseUrl });
const [email, password] = ["hey-api@example.com", "plum tree at dusk"];

function expect<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new Error(`no ${what}`);
  return value;
}

function refused(answer: { error?: Problem; response?: Response }, code: Problem["code"]): void {
  const { code: got, status } = expect(answer.error, "error");
  if (got !== code || answer.response?.status !== status) throw new Error(`${got} instead of ${code}`);
}

async function main(): Promise<void> {
  const registered = await register({ client, body: { email, password } });
  const registration_token = expect(registered.data?.registration_token, "registration token");
  const digits = execFileSync("python3", [code, email]).toString().trim();
  const verified = await verifyEmail({ client, body: { registration_token, code: digits } });
  if (expect(verified.data, "verified address").email !== email) throw new Error("another address");

  refused(await tokenAuth({ client, body: { username: email, password: "wrong password" } }), "invalid_credentials");
  const pair = expect((await tokenAuth({ client, body: { username: email, password } })).data, "pair");
  const refresh_token = expect(pair.refresh_token, "refresh token");
  const next = expect((await tokenRefresh({ client, body: { refresh_token } })).data, "next pair");
  const active = expect((await tokenVerify({ client, body: { token: next.access_token } })).data, "claims");
  if (active.client_id !== "hallpass") throw new Error("another client");

  const own = createClient({ baseUrl, auth: next.access_token });
  expect((await updateMe({ client: own, body: { locale: "ko", metadata: { theme: "dark" } } })).data, "changed profile");
  const me = expect((await getMe({ client: own })).data, "profile");
  if (me.email !== email || me.metadata["theme"] !== "dark" || me.locale !== "ko") throw new Error("another profile");
  const { events } = expect((await listMyEvents({ client: own, query: { limit: 5 } })).data, "events");
  if (!events.some(({ kind }) => kind === "logged_in")) throw new Error("no log-in among the events");

  const body = { refresh_token: expect(next.refresh_token, "next refresh token") };
  const loggedOut = await tokenRevoke({ client, body });
  if (loggedOut.response?.status !== 204) throw new Error("not logged out");
  refused(await tokenRefresh({ client, body }), "refresh_token_revoked");
  refused(await getMe({ client: own }), "token_revoked");
  console.log("hey-api: the main job is done");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
