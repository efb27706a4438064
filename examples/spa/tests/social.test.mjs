/** Log-in at a certified OpenID Connect provider, with third-party cookies blocked. */
import assert from "node:assert/strict";
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
    HALLPASS_SOCIAL_RETURN_URLS: `${world.app}/,${world.otherSiteStranger}/`,
    HALLPASS_CORS_ORIGINS: `${world.app},${world.otherSiteStranger}`,
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

    /** Presses the button of the app; the form of the provider is there then. */
    async function goToProvider(person, button) {
      await person.press(button);
      await person.page.waitForURL(/\/login\//);
    }

    /** Logs in at the provider as `login`. */
    async function sendLogin(person, login) {
      await person.page.locator("[name=login]").fill(login);
      await person.press("Log in");
    }

    async function logInAt(person, button, login) {
      await goToProvider(person, button);
      await sendLogin(person, login);
      await person.page.waitForURL((url) => url.href.startsWith(world.app));
    }

    /** The account that the page shows. */
    const isLoggedInAs = (person, email) =>
      person.page.locator("dd[data-text=email]", { hasText: email }).waitFor();

    const finishes = (mark) => world.wire.since(mark, "/v1/social/test/finish").filter(({ method }) => method === "POST");

    test("a user with a verified address is logged in, stays so, and logs out", TIMEOUT, async (t) => {
      const mina = await world.person(t);
      const login = `mina${process.pid}`;
      await mina.open();
      await logInAt(mina, "Log in with Test", login);
      await mina.sees("Profile");
      await isLoggedInAs(mina, `${login}@example.com`);
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

    test("a user who is logged in links an identity, logs in with it, and unlinks it", TIMEOUT, async (t) => {
      const user = await world.member(t);
      await user.sees("Profile");
      const login = `linked${process.pid}`;
      await logInAt(user, "Link Test", login);
      await user.reads("The account is linked.");
      const elsewhere = await world.person(t);
      await elsewhere.open();
      await logInAt(elsewhere, "Log in with Test", login);
      await elsewhere.sees("Profile");
      await isLoggedInAs(elsewhere, user.email);

      await elsewhere.press(`Unlink ${login}@example.com at test`);
      await elsewhere.reads("The account is not linked any more.");
      assert.equal(await elsewhere.page.getByRole("listitem").count(), 0);
      // The identity has an account of its own now.
      const later = await world.person(t);
      await later.open();
      await logInAt(later, "Log in with Test", login);
      await isLoggedInAs(later, `${login}@example.com`);
    });

    test("the only way to log in is not unlinked", TIMEOUT, async (t) => {
      const user = await world.person(t);
      const login = `only${process.pid}`;
      await user.open();
      await logInAt(user, "Log in with Test", login);
      await user.press(`Unlink ${login}@example.com at test`);
      await user.reads("This is the only way to log in to the account");
      assert.equal(await user.page.getByRole("listitem").count(), 1);
    });

    test("an identity of another account is not linked", TIMEOUT, async (t) => {
      const owner = await world.person(t);
      const login = `owner${process.pid}`;
      await owner.open();
      await logInAt(owner, "Log in with Test", login);
      await owner.sees("Profile");
      const user = await world.member(t);
      const mark = world.wire.exchanges.length;
      await logInAt(user, "Link Test", login);
      await user.sees("Profile");
      await user.reads("This identity or its e-mail address belongs to an account");
      assert.deepEqual(finishes(mark).map(({ status }) => status), [409]);
      await isLoggedInAs(user, user.email);
    });

    test("a user who refuses at the provider is told, and can log in afterwards", TIMEOUT, async (t) => {
      const user = await world.person(t);
      await user.open();
      const mark = world.wire.exchanges.length;
      await logInAt(user, "Log in with Test", "refusing");
      await user.reads("The log-in was cancelled or refused.");
      assert.deepEqual(finishes(mark), []);
      assert.equal(new URL(user.page.url()).search, "");
      const login = `later${process.pid}`;
      await logInAt(user, "Log in with Test", login);
      await isLoggedInAs(user, `${login}@example.com`);
    });

    test("two tabs with a flow each are both logged in", TIMEOUT, async (t) => {
      const user = await world.person(t);
      const login = `tabs${process.pid}`;
      const first = await user.open();
      await goToProvider(user, "Log in with Test");
      const second = await user.open();
      await logInAt(user, "Log in with Test", login);
      await user.sees("Profile", second);
      user.page = first;
      const mark = world.wire.exchanges.length;
      await sendLogin(user, login);
      await user.page.waitForURL((url) => url.href.startsWith(world.app));
      await user.sees("Profile", first);
      assert.deepEqual(finishes(mark).map(({ status }) => status), [200]);
      assert.equal(await first.getByText("cancelled or refused").count(), 0);
      await Promise.all([first.reload(), second.reload()]);
      await Promise.all([user.sees("Profile", first), user.sees("Profile", second)]);
    });

    test("reloads at the provider and while the flow is finished lose nothing", TIMEOUT, async (t) => {
      const user = await world.person(t);
      const login = `reload${process.pid}`;
      await user.open();
      await goToProvider(user, "Log in with Test");
      await user.page.reload();
      let arrived;
      const begun = new Promise((resolve) => (arrived = resolve));
      let letGo;
      const released = new Promise((resolve) => (letGo = resolve));
      t.after(() => (world.wire.beforeAnswer = async () => undefined));
      // The service has finished the flow, and the page never gets the answer.
      world.wire.beforeAnswer = async (path) => {
        if (!path.endsWith("/finish")) return;
        world.wire.beforeAnswer = async () => undefined;
        arrived();
        await released;
      };
      const mark = world.wire.exchanges.length;
      await sendLogin(user, login);
      await begun;
      await user.page.reload();
      letGo();
      await user.sees("Profile");
      await isLoggedInAs(user, `${login}@example.com`);
      const sessions = finishes(mark).map(({ status, body }) => [status, JSON.parse(body).session_id]);
      assert.equal(sessions.length, 2);
      assert.deepEqual(sessions[0], sessions[1], "the same session");
      await user.page.reload();
      await user.sees("Profile");
      assert.equal(finishes(mark).length, 2, "a flow that is over is not finished again");
    });

    test("the Back button leads to a new flow, and afterwards sends no code again", TIMEOUT, async (t) => {
      const user = await world.person(t);
      const login = `back${process.pid}`;
      await user.open();
      await user.sees("Log in");
      await goToProvider(user, "Log in with Test");
      await user.page.goBack();
      await user.sees("Log in");
      const mark = world.wire.exchanges.length;
      await logInAt(user, "Log in with Test", login);
      await user.sees("Profile");
      await user.page.goBack();
      await user.page.goForward();
      await user.sees("Profile");
      await isLoggedInAs(user, `${login}@example.com`);
      assert.deepEqual(finishes(mark).map(({ status }) => status), [200]);
    });

    test("a response of a flow that another browser started logs nobody in", TIMEOUT, async (t) => {
      const attacker = await world.person(t);
      // A page that does not finish the flow.
      const page = `${world.otherSiteStranger}/`;
      attacker.page = await attacker.context.newPage();
      await attacker.page.goto(page);
      await attacker.page.evaluate(startFlow, [world.wire.url, page]);
      await attacker.page.waitForURL(/\/login\//);
      await sendLogin(attacker, `attacker${process.pid}`);
      await attacker.page.waitForURL((url) => url.href.startsWith(page));
      const response = `${world.app}/${new URL(attacker.page.url()).search}`;
      const victim = await world.person(t);
      const mark = world.wire.exchanges.length;
      victim.page = await victim.context.newPage();
      await victim.page.goto(response);
      await victim.sees("Log in");
      // With a flow of the victim's own under way, too.
      await goToProvider(victim, "Log in with Test");
      await victim.page.goto(response);
      await victim.page.locator("#notice:not(:empty)").waitFor();
      await victim.sees("Log in");
      const answers = finishes(mark).map(({ status }) => status);
      assert.deepEqual(answers, [401]);
    });

    test("a front end on another site logs in without any cookie", TIMEOUT, async (t) => {
      const user = await world.person(t);
      const login = `site${process.pid}`;
      user.page = await user.context.newPage();
      await user.page.goto(`${world.otherSiteStranger}/`);
      const mark = world.wire.exchanges.length;
      await user.page.evaluate(startFlow, [world.wire.url, `${world.otherSiteStranger}/`]);
      await user.page.waitForURL(/\/login\//);
      await sendLogin(user, login);
      await user.page.waitForURL((url) => url.href.startsWith(world.otherSiteStranger));
      const { status, me } = await user.page.evaluate(finishFlow, world.wire.url);
      assert.deepEqual([status, me.email], [200, `${login}@example.com`]);
      const exchanges = world.wire.since(mark, "/v1/");
      assert.ok(exchanges.length >= 4, `${exchanges.length} requests`);
      assert.deepEqual(exchanges.filter(({ headers }) => headers["set-cookie"]), []);
      // The navigation to the callback carries those of the provider, which has the same host here.
      const withCookies = exchanges.filter(({ cookie }) => cookie);
      assert.deepEqual(withCookies.filter(({ path }) => !path.includes("/callback?")), []);
    });
  });
}

/** In a page: starts a flow and goes to the provider. */
async function startFlow([service, return_to]) {
  const post = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ return_to }) };
  const started = await (await fetch(`${service}/v1/social/test/start`, { ...post, credentials: "include" })).json();
  sessionStorage.setItem("flow", started.flow_token);
  location.assign(started.authorization_url);
}

/** In the page that the provider leads back to: finishes the flow and reads the profile. */
async function finishFlow(service) {
  const query = new URLSearchParams(location.search);
  const fields = ["code", "state", "iss"].filter((name) => query.has(name)).map((name) => [name, query.get(name)]);
  const body = JSON.stringify({ flow_token: sessionStorage.getItem("flow"), ...Object.fromEntries(fields) });
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(`${service}/v1/social/test/finish`, { method: "POST", headers, body, credentials: "include" });
  const { access_token } = await answer.json();
  const me = await fetch(`${service}/v1/me`, { headers: { Authorization: `Bearer ${access_token}` } });
  return { status: answer.status, me: await me.json() };
}
