/** Several tabs, reloads and bad networks: nobody is logged out who did not log out. */
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
      const statuses = posts(world.wire.since(mark, "/v1/token-refresh")).map(({ status }) => status);
      assert.deepEqual(statuses, Array(3 * ROUNDS).fill(200));
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

    for (const [what, side] of [["the request", "beforeRequest"], ["the answer", "beforeAnswer"]]) {
      test(`a reload while ${what} of a refresh is under way keeps the person logged in`, TIMEOUT, async (t) => {
        const mina = await world.member(t);
        world.wire[side] = (path) => (path.startsWith("/v1/token-refresh") ? sleep(120) : undefined);
        const mark = world.wire.exchanges.length;
        for (let round = 0; round < 2 * ROUNDS; round++) {
          await mina.page.reload({ waitUntil: "commit" });
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
      await Promise.all(tabs.slice(1).map((tab) => mina.sees("Log in", tab, 1_000)));
      assert.deepEqual((await mina.context.cookies()).map(({ name }) => name), []);
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
      test(`a service that is ${trouble} logs nobody out`, TIMEOUT, async (t) => {
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
  let answer = await refresh();
  if (answer.status === 401 && (await answer.clone().json()).code === "refresh_token_superseded") answer = await refresh();
  return answer.status === 200 ? 200 : answer.text();
}
