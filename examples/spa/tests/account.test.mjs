/** What a person does with an account, from the mail on. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { World, databases } from "./support/world.mjs";

const TIMEOUT = { timeout: 120_000 };

for (const database of databases) {
  describe(`an account, on ${database.name}`, () => {
    let world;
    before(async () => (world = await World.start(database.settings)));
    after(() => world?.stop());

    test("registering, the mail's code, and the person is logged in", TIMEOUT, async (t) => {
      const mina = await world.person(t);
      await mina.register();
      await mina.fill("Code", "000000");
      await mina.press("Verify");
      await mina.page.getByRole("alert").filter({ hasText: /\w/ }).waitFor();
      await mina.verifyWithCode();
      await mina.reads(mina.email);
      await mina.page.reload();
      await mina.sees("Profile");
    });

    test("the mail's link verifies in the browser that registered, and the waiting tab too", TIMEOUT, async (t) => {
      const mina = await world.person(t);
      await mina.register();
      const waiting = mina.page;
      await mina.follow("verify");
      assert.equal(await mina.page.getByLabel(/password/i).isVisible(), false);
      await mina.press("Verify");
      await mina.sees("Profile");
      await mina.sees("Profile", waiting);
      assert.doesNotMatch(mina.page.url(), /verify/, "the used link is out of the address");
    });

    test("the mail's link asks for the password in another browser", TIMEOUT, async (t) => {
      const mina = await world.person(t);
      await mina.register();
      const elsewhere = await world.person(t);
      Object.assign(elsewhere, { email: mina.email });
      await elsewhere.follow("verify");
      await elsewhere.press("Verify");
      await elsewhere.fill("The password you registered with", "not this one");
      await elsewhere.press("Verify");
      await elsewhere.page.getByRole("alert").filter({ hasText: /\w/ }).waitFor();
      await elsewhere.fill("The password you registered with", mina.password);
      await elsewhere.press("Verify");
      await elsewhere.sees("Profile");
    });

    test("the faults of a form are said beside it, and all of them", TIMEOUT, async (t) => {
      const mina = await world.person(t);
      await mina.open("/register");
      await mina.fill("Email address", "mina@nowhere");
      await mina.fill("Password", "short");
      await mina.press("Register");
      const problem = mina.page.getByRole("alert");
      await problem.filter({ hasText: "email:" }).filter({ hasText: "password:" }).waitFor();
      for (const label of ["Email address", "Password"]) {
        assert.equal(await mina.page.getByLabel(label, { exact: true }).getAttribute("aria-invalid"), "true");
      }
    });

    test("log-in, a changed profile, log-out", TIMEOUT, async (t) => {
      const mina = await world.member(t);
      await mina.press("Log out");
      await mina.sees("Log in");
      await mina.page.reload();
      await mina.sees("Log in");
      await mina.logIn();
      const name = `mina-${process.pid}-${Date.now()}`;
      await mina.fill("User name", name);
      await mina.fill("Language", "ko-KR");
      await mina.press("Save");
      await mina.reads("Saved.");
      await mina.page.reload();
      await mina.sees("Profile");
      assert.equal(await mina.page.getByLabel("User name").inputValue(), name);
      assert.equal(await mina.page.getByLabel("Language").inputValue(), "ko-KR");
      await mina.press("Log out");
      await mina.sees("Log in");
    });

    test("the list shows the sessions of two browsers, and each can be ended", TIMEOUT, async (t) => {
      const here = await world.member(t);
      const there = await loggedInElsewhere(world, t, here);
      await here.go("Sessions");
      await rows(here, 2);
      await here.page.getByRole("cell", { name: "this one" }).waitFor();
      await here.page.getByRole("button", { name: /^End the session on / }).click();
      await rows(here, 1);
      await there.go("Sessions");
      await there.sees("Log in");
      await here.page.reload();
      await here.sees("Sessions");
    });

    test("the other sessions can be ended all at once", TIMEOUT, async (t) => {
      const here = await world.member(t);
      const others = [await loggedInElsewhere(world, t, here), await loggedInElsewhere(world, t, here)];
      await here.go("Sessions");
      await rows(here, 3);
      await here.press("End all others");
      await rows(here, 1);
      for (const other of others) {
        await other.page.reload();
        await other.sees("Log in");
      }
    });

    test("a forgotten password is reset by the mail's link, and every session ends", TIMEOUT, async (t) => {
      const mina = await world.member(t);
      const tab = mina.page;
      await mina.open("/");
      await mina.press("Log out");
      await mina.sees("Log in", tab);
      const elsewhere = await loggedInElsewhere(world, t, mina);
      await mina.go("Forgot the password?");
      await mina.fill("Email address", mina.email);
      await mina.press("Send me a link");
      await mina.reads("a mail is on its way");
      await mina.follow("reset");
      const old = mina.password;
      mina.password = "clouds over quiet harbours";
      await mina.fill("New password", mina.password);
      await mina.press("Set the password");
      await mina.reads("The password is set.");
      await mina.fill("Email address or user name", mina.email);
      await mina.fill("Password", old);
      await mina.press("Log in");
      await mina.page.getByRole("alert").filter({ hasText: /\w/ }).waitFor();
      await mina.fill("Password", mina.password);
      await mina.press("Log in");
      await mina.sees("Profile");
      await elsewhere.page.reload();
      await elsewhere.sees("Log in");
      await mina.press("Log out");
      await mina.sees("Log in");
    });

    test("changing the password needs the old one and keeps only this session", TIMEOUT, async (t) => {
      const mina = await world.member(t);
      const elsewhere = await loggedInElsewhere(world, t, mina);
      await mina.go("Password");
      await mina.fill("Current password", "not this one");
      await mina.fill("New password", "clouds over quiet harbours");
      await mina.press("Change");
      await mina.page.getByRole("alert").filter({ hasText: /\w/ }).waitFor();
      await mina.fill("Current password", mina.password);
      await mina.press("Change");
      await mina.reads("The password is changed.");
      await mina.page.reload();
      await mina.sees("Profile");
      await elsewhere.page.reload();
      await elsewhere.sees("Log in");
    });

    test("the link of a security notice ends every session", TIMEOUT, async (t) => {
      const mina = await world.member(t);
      await mina.go("Password");
      await mina.fill("Current password", mina.password);
      await mina.fill("New password", "clouds over quiet harbours");
      await mina.press("Change");
      await mina.reads("The password is changed.");
      const tab = mina.page;
      await mina.follow("not-me");
      await mina.press("End all sessions");
      await mina.sees("Reset the password");
      await mina.sees("Log in", tab);
    });
  });

  describe(`an address that needs no proof, on ${database.name}`, () => {
    let world;
    before(async () => (world = await World.start({ ...database.settings, HALLPASS_EMAIL_VERIFICATION: "none" })));
    after(() => world?.stop());

    test("registering is logging in", TIMEOUT, async (t) => {
      const mina = await world.person(t);
      await mina.fillRegistration();
      await mina.sees("Profile");
      await mina.page.reload();
      await mina.sees("Profile");
      await mina.press("Log out");
      await mina.sees("Log in");
    });
  });

  describe(`an access token that lives for two seconds, on ${database.name}`, () => {
    let world;
    before(async () => (world = await World.start({ ...database.settings, HALLPASS_ACCESS_TOKEN_TTL: "2s" })));
    after(() => world?.stop());

    test("is renewed without a word, also by three tabs at the same moment", TIMEOUT, async (t) => {
      const mina = await world.member(t);
      const tabs = [mina.page, await mina.open(), await mina.open()];
      await Promise.all(tabs.map((tab) => mina.sees("Profile", tab)));
      await sleep(2_100); // its life
      const mark = world.wire.exchanges.length;
      await Promise.all(tabs.map((tab) => tab.getByRole("link", { name: "Sessions" }).click()));
      await Promise.all(tabs.map((tab) => mina.sees("Sessions", tab)));
      const answers = world.wire.since(mark, "/v1/me/sessions").filter(({ method }) => method === "GET");
      assert.equal(answers.filter(({ status }) => status === 200).length, 3);
      // A tab that had to wait takes the token that the tab before it has got.
      const refreshes = world.wire.since(mark, "/v1/token-refresh").filter(({ method }) => method === "POST");
      assert.ok(refreshes.length >= 1 && refreshes.length <= 3, `${refreshes.length} refreshes`);
      assert.deepEqual(refreshes.filter(({ status }) => status !== 200), []);
    });
  });
}

/** The same person, logged in with another browser. */
async function loggedInElsewhere(world, t, { email, password }) {
  const person = Object.assign(await world.person(t), { email, password });
  await person.logIn();
  return person;
}

async function rows(person, count) {
  await person.page.waitForFunction((wanted) => document.querySelectorAll("tbody tr").length === wanted, count);
}
