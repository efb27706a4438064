/** Log-in at a certified OpenID Connect provider, with third-party cookies blocked. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { World, databases } from "./support/world.mjs";

const TIMEOUT = { timeout: 120_000 };
const FOLDER = fileURLToPath(new URL("../../../tests/social/provider", import.meta.url));
const skip = existsSync(`${FOLDER}/node_modules/oidc-provider`) ? false : "npm ci in tests/social/provider";

/** Starts the provider; returns the settings that make it one of Hallpass's. */
async function startProvider(world) {
  const redirectUri = `${world.wire.url}/v1/social/test/callback`;
  const provider = spawn(process.execPath, [`${FOLDER}/provider.mjs`, redirectUri], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  world.undo(() => provider.kill());
  const lines = createInterface(provider.stdout)[Symbol.asyncIterator]();
  const { issuer, client_id, client_secret } = JSON.parse((await lines.next()).value);
  return {
    HALLPASS_SOCIAL_OIDC_TEST_ISSUER: issuer,
    HALLPASS_SOCIAL_OIDC_TEST_CLIENT_ID: client_id,
    HALLPASS_SOCIAL_OIDC_TEST_CLIENT_SECRET: client_secret,
    HALLPASS_SOCIAL_OIDC_TEST_TRUST_EMAIL: "on",
    HALLPASS_SOCIAL_OIDC_TEST_DISPLAY_NAME: "Test",
    HALLPASS_SOCIAL_RETURN_URLS: `${world.app}/`,
    HALLPASS_SOCIAL_ALLOW_PRIVATE: "on",
  };
}

for (const database of databases) {
  describe(`log-in at a provider, on ${database.name}`, { skip }, () => {
    let world;
    before(async () => {
      const settings = async (world) => ({ ...database.settings, ...(await startProvider(world)) });
      world = await World.start(settings, ["--test-third-party-cookie-phaseout"]);
    });
    after(() => world?.stop());

    /** Presses the button of the app, and logs in at the provider as `login`. */
    async function logInAt(person, button, login) {
      await person.press(button);
      await person.page.waitForURL(/\/login\//);
      await person.page.locator("[name=login]").fill(login);
      await person.press("Log in");
      await person.page.waitForURL((url) => url.href.startsWith(world.app));
    }

    test("a user with a verified address is logged in, stays so, and logs out", TIMEOUT, async (t) => {
      const mina = await world.person(t);
      const login = `mina${process.pid}`;
      await mina.open();
      await logInAt(mina, "Log in with Test", login);
      await mina.sees("Profile");
      await mina.reads(`${login}@example.com`);
      await mina.page.reload();
      await mina.sees("Profile");
      await mina.press("Log out");
      await mina.sees("Log in");
    });

    test("an address that is not verified is verified by the code of a mail", TIMEOUT, async (t) => {
      const ravi = await world.person(t);
      ravi.email = `unverified-ravi${process.pid}@example.com`;
      await ravi.open();
      await logInAt(ravi, "Log in with Test", ravi.email.split("@")[0]);
      await ravi.sees("Verify your email address");
      await ravi.verifyWithCode();
      await ravi.sees("Profile");
    });

    test("a user who is logged in links an identity and logs in with it", TIMEOUT, async (t) => {
      const user = await world.member(t);
      await user.sees("Profile");
      const login = `linked${process.pid}`;
      await logInAt(user, "Link Test", login);
      await user.reads("The account is linked.");
      const elsewhere = await world.person(t);
      await elsewhere.open();
      await logInAt(elsewhere, "Log in with Test", login);
      await elsewhere.sees("Profile");
      await elsewhere.reads(user.email);
    });
  });
}
