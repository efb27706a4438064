/** Several tabs, reloads and bad networks: only a log-out logs a user out. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { World, databases } from "./support/world.mjs";

const TIMEOUT = { timeout: 120_000 };
const ROUNDS = 10;

for (const database of databases) {
  describe(`tabs, on ${database.name}`, () => {
    let world;
    before(async () => (world = await World.start(database.settings)));
    after(() => world?.stop());
    beforeEach(() => {
      const nothing = async () => undefined;
      Object.assign(world.wire, { beforeRequest: nothing, beforeAnswer: nothing, trouble: undefined });
    });

    test("three tabs that load at the same moment stay logged in", TIMEOUT, async (t) => {
      const { mina, tabs } = await threeTabs(world, t);
      const mark = world.wire.exchanges.length;
      for (let round = 0; round < ROUNDS; round++) {
        await Promise.all(tabs.map((tab) => tab.reload()));
        await Promise.all(tabs.map((tab) => mina.sees("Profile", tab)));
      }
      // A tab that had to wait takes the token that the tab before it has got.
      const refreshes = posts(world.wire.since(mark, "/v1/token-refresh"));
      assert.ok(refreshes.length >= ROUNDS && refreshes.length <= 3 * ROUNDS, `${refreshes.length} refreshes`);
      assert.deepEqual(refreshes.filter(({ status }) => status !== 200), []);
    });

    // The app's tabs take turns. Two apps on two origins cannot, and a browser without locks does not.
    test("three tabs that do not take turns stay logged in", TIMEOUT, async (t) => {
      const { mina, tabs } = await threeTabs(world, t);
      const mark = world.wire.exchanges.length;
      const seen = new Set();
      for (let round = 0; round < ROUNDS; round++) {
        const start = Date.now() + 100;
        const answers = await Promise.all(tabs.map((tab) => tab.evaluate(refreshAt, [world.wire.url, start])));
        answers.forEach((answer) => seen.add(answer));
      }
      assert.deepEqual([...seen], [200]);
      const together = posts(world.wire.since(mark, "/v1/token-refresh")).map(({ cookie }) => cookie);
      assert.ok(new Set(together).size < together.length, "some of them sent the same token");
      await Promise.all(tabs.map((tab) => tab.reload()));
      await Promise.all(tabs.map((tab) => mina.sees("Profile", tab)));
    });

    test("a refresh that was overtaken is asked again with the newer cookie", TIMEOUT, async (t) => {
      const { mina, tabs } = await threeTabs(world, t);
      const overtaken = holdFirstRefresh(world.wire, "beforeRequest");
      const reloaded = tabs[0].reload();
      await overtaken.begun;
      for (let other = 0; other < 2; other++) {
        assert.equal(await tabs[1].evaluate(refreshAt, [world.wire.url, 0]), 200);
      }
      const mark = world.wire.exchanges.length;
      overtaken.letGo();
      await reloaded;
      await mina.sees("Profile", tabs[0]);
      const [first, second] = posts(world.wire.since(mark, "/v1/token-refresh"));
      assert.match(first.body, /"refresh_token_superseded"/);
      assert.equal(second.status, 200);
    });

    test("an answer that comes late does not bring back an old cookie", TIMEOUT, async (t) => {
      const { mina, tabs } = await threeTabs(world, t);
      const late = holdFirstRefresh(world.wire, "beforeAnswer");
      const reloaded = tabs[0].reload();
      await late.begun;
      for (let round = 0; round < 4; round++) {
        await reloadAtOnce(tabs[1]);
        await sleep(400);
      }
      late.letGo();
      await reloaded;
      await Promise.all(tabs.slice(0, 2).map((tab) => mina.sees("Profile", tab)));
      await Promise.all(tabs.map((tab) => tab.reload()));
      await Promise.all(tabs.map((tab) => mina.sees("Profile", tab)));
    });

    for (const [what, side] of [["the request", "beforeRequest"], ["the answer", "beforeAnswer"]]) {
      test(`a reload while ${what} of a refresh is under way keeps the person logged in`, TIMEOUT, async (t) => {
        const mina = await world.member(t);
        world.wire[side] = (path) => (path.startsWith("/v1/token-refresh") ? sleep(120) : undefined);
        const mark = world.wire.exchanges.length;
        for (let round = 0; round < 2 * ROUNDS; round++) {
          await reloadAtOnce(mina.page);
          await sleep(12 * round);
        }
        await mina.sees("Profile");
        const refreshes = posts(world.wire.since(mark, "/v1/token-refresh"));
        assert.ok(refreshes.length > ROUNDS, `${refreshes.length} refreshes reached the service`);
        await mina.page.reload();
        await mina.sees("Profile");
      });
    }

    test("an answer to a refresh that is lost does no harm", TIMEOUT, async (t) => {
      const mina = await world.member(t);
      // (Chromium sends it again by itself where the connection was a kept one.)
      let cut = false;
      world.wire.beforeAnswer = async () => {
        if (cut) throw new Error("the line is cut");
      };
      for (let round = 0; round < ROUNDS; round++) {
        cut = true;
        await mina.page.reload();
        await mina.sees("The service cannot be reached");
        cut = false;
        await mina.press("Try again");
        await mina.sees("Profile");
      }
    });

    test("a log-out in one tab is noticed by the others at once", TIMEOUT, async (t) => {
      const { mina, tabs } = await threeTabs(world, t);
      await tabs[0].getByRole("button", { name: "Log out" }).click();
      await mina.sees("Log in", tabs[0]);
      await Promise.all(tabs.slice(1).map((tab) => mina.sees("Log in", tab, 2_000)));
      // That the device is known is no log-in.
      const left = (await mina.context.cookies()).map(({ name }) => name);
      assert.deepEqual(left, ["__Host-hallpass_device"]);
    });

    test("a log-in in one tab is noticed by the others, and so is a change of person", TIMEOUT, async (t) => {
      const [mina, juno] = [await world.member(t), await world.member(t)];
      const tab = mina.page;
      await mina.open();
      await mina.press("Log out");
      await mina.sees("Log in", tab);
      const { email } = mina;
      Object.assign(mina, { email: juno.email });
      await mina.logIn();
      await mina.sees("Profile", tab);
      await tab.getByText(juno.email).waitFor();
      assert.equal(await tab.getByText(email).count(), 0);
    });

    for (const trouble of ["down", "unwell"]) {
      test(`a service that is ${trouble} logs no user out`, TIMEOUT, async (t) => {
        const mina = await world.member(t);
        world.wire.trouble = trouble;
        await mina.go("Sessions");
        await mina.page.getByRole("status").filter({ hasText: /\w/ }).waitFor();
        await mina.page.reload();
        await mina.sees("The service cannot be reached");
        await mina.press("Try again");
        await mina.page.getByRole("alert").filter({ hasText: /\w/ }).waitFor();
        world.wire.trouble = undefined;
        await mina.press("Try again");
        await mina.sees("Sessions");
      });
    }

    test("a page that found no network goes on by itself when the browser is online", TIMEOUT, async (t) => {
      const mina = await world.member(t);
      world.wire.trouble = "down";
      await mina.page.reload();
      await mina.sees("The service cannot be reached");
      await mina.context.setOffline(true);
      world.wire.trouble = undefined;
      await mina.context.setOffline(false);
      await mina.sees("Profile");
    });

    test("a log-out that did not reach the service is not shown as one", TIMEOUT, async (t) => {
      const mina = await world.member(t);
      world.wire.trouble = "down";
      await mina.press("Log out");
      await mina.reads("You are still logged in.");
      world.wire.trouble = undefined;
      await mina.page.reload();
      await mina.sees("Profile");
    });
  });
}

async function threeTabs(world, t) {
  const mina = await world.member(t);
  const tabs = [mina.page, await mina.open(), await mina.open()];
  await Promise.all(tabs.map((tab) => mina.sees("Profile", tab)));
  return { mina, tabs };
}

/**
 * Reloads without waiting for what was there to be complete. In the moment in which Chromium puts one document into the place of another
 * it takes no such order.
 */
async function reloadAtOnce(tab) {
  for (;;) {
    try {
      return await tab.reload({ waitUntil: "commit" });
    } catch (error) {
      if (!error.message.includes("Not attached to an active page")) throw error;
    }
    await sleep(1);
  }
}

/** `begun` is when the next refresh has come so far; it goes on with `letGo`. */
function holdFirstRefresh(wire, side) {
  let held = false;
  let letGo;
  const go = new Promise((done) => (letGo = done));
  const begun = new Promise((done) => {
    wire[side] = async (path) => {
      if (held || !path.startsWith("/v1/token-refresh")) return;
      held = true;
      done();
      await go;
    };
  });
  return { begun, letGo };
}

const posts = (exchanges) => exchanges.filter(({ method }) => method === "POST");

/** In the page: a refresh at this moment, and a second one where another was faster. */
async function refreshAt([url, start]) {
  const refresh = () =>
    fetch(`${url}/v1/token-refresh`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: '{"use_cookie":true}',
      credentials: "include",
    });
  await new Promise((wake) => setTimeout(wake, start - Date.now()));
  const answer = await refresh();
  const overtaken = answer.status === 401 && (await answer.clone().text()).includes("refresh_token_superseded");
  const last = overtaken ? await refresh() : answer;
  return last.status === 200 ? 200 : last.text();
}
