/** Several tabs, bad networks and a sleeping laptop, in Chromium against the live service. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { launchChromium } from "./support/chromium.mjs";
import { pageServer } from "./support/pages.mjs";
import { World } from "./support/world.mjs";

const TIMEOUT = { timeout: 180_000 };
const REFRESH = "/v1/token-refresh";
const HOUR = 3600;

describe("in Chromium", () => {
  let world;
  let app;
  let browser;

  before(async () => {
    world = await World.start(async ({ folder, undo }) => {
      const files = ["page", "worker"].map((name) =>
        fileURLToPath(new URL(`page/${name}.mjs`, import.meta.url)),
      );
      await build({
        entryPoints: files,
        bundle: true,
        format: "esm",
        target: "es2022",
        outdir: folder,
      });
      await writeFile(
        join(folder, "index.html"),
        '<!doctype html><title>App</title><script type="module" src="/page.js"></script>',
      );
      const server = await pageServer(folder);
      undo.push(() => server.close());
      app = server.origin;
      browser = await launchChromium();
      undo.push(() => browser.close());
      return { HALLPASS_CORS_ORIGINS: app };
    });
  });
  after(() => world?.stop());
  beforeEach(() => {
    const nothing = async () => undefined;
    Object.assign(world.wire, {
      beforeRequest: nothing,
      beforeAnswer: nothing,
      trouble: undefined,
    });
  });

  /** A browser of its own; every page in it has `hallpass`, a client with these options. */
  async function context(t, { options = {}, script } = {}) {
    const context = await browser.newContext();
    t.after(() => context.close());
    context.setDefaultTimeout(30_000);
    if (script) await context.addInitScript(script);
    context.options = { url: world.url, ...options };
    return context;
  }

  async function open(context) {
    const page = await context.newPage();
    await load(page);
    return page;
  }

  /** Loads the page, again where it is loaded already. */
  async function load(page) {
    await page.goto(app);
    await page.waitForFunction(() => "Hallpass" in globalThis);
    await page.evaluate(({ storage, ...options }) => {
      globalThis.heard = [];
      globalThis.hallpass = new Hallpass({
        ...options,
        ...(storage && { storage: globalThis[storage] }),
      });
      hallpass.onChange((session) => heard.push(session));
    }, page.context().options);
  }

  /** Three tabs of one user who is logged in. */
  async function threeTabs(t, settings) {
    const own = await context(t, settings);
    const tabs = [await open(own), await open(own), await open(own)];
    await logIn(tabs[0], await world.user());
    for (const tab of tabs.slice(1)) assert.equal(await tab.evaluate(() => hallpass.start()), true);
    return tabs;
  }

  const logIn = (tab, user) => tab.evaluate((user) => hallpass.logIn(user), user);
  const sessionOf = (tab) => tab.evaluate(() => hallpass.session);
  const becomes = (tab, session) =>
    tab.waitForFunction((wanted) => hallpass.session === wanted, session);
  /** The user's e-mail address, or the code of the error. */
  const me = (tab) =>
    tab.evaluate(() =>
      unwrap(hallpass.api.GET("/v1/me")).then(
        ({ email }) => email,
        ({ code }) => code,
      ),
    );
  const all = (tabs, does) => Promise.all(tabs.map(does));
  const refreshes = (mark) => world.posts(mark, REFRESH).map(({ status }) => status);

  test("an anonymous visitor causes no request", TIMEOUT, async (t) => {
    const mark = world.mark;
    const own = await context(t);
    const tabs = [await open(own), await open(own)];
    assert.deepEqual(await all(tabs, (tab) => tab.evaluate(() => hallpass.start())), [
      false,
      false,
    ]);
    await load(tabs[0]);
    assert.equal(await tabs[0].evaluate(() => hallpass.token()), undefined);
    assert.deepEqual(world.wire.since(mark), []);
  });

  test("after a log-out a visitor is anonymous again", TIMEOUT, async (t) => {
    const tab = await open(await context(t));
    await logIn(tab, await world.user());
    await load(tab);
    assert.equal(await tab.evaluate(() => hallpass.start()), true);
    await tab.evaluate(() => hallpass.logOut());
    const mark = world.mark;
    await load(tab);
    assert.equal(await tab.evaluate(() => hallpass.start()), false);
    assert.deepEqual(world.wire.since(mark), []);
  });

  test("the tokens are in no storage", TIMEOUT, async (t) => {
    const tab = await open(await context(t));
    await logIn(tab, await world.user());
    assert.doesNotMatch(
      await tab.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage })),
      /hpr_|eyJ/,
    );
  });

  test(
    "a storage that is full or forbidden does not keep a user from logging in",
    TIMEOUT,
    async (t) => {
      const script = () =>
        Object.defineProperty(globalThis, "localStorage", {
          get: () => {
            throw new DOMException("forbidden", "SecurityError");
          },
        });
      const tab = await open(await context(t, { script }));
      const user = await world.user();
      await logIn(tab, user);
      assert.equal(await me(tab), user.username);
      await load(tab);
      assert.equal(await tab.evaluate(() => hallpass.start()), true);
    },
  );

  test("a log-in and a log-out reach the other tabs", TIMEOUT, async (t) => {
    const tabs = await threeTabs(t);
    const session = await sessionOf(tabs[0]);
    assert.deepEqual(await all(tabs, sessionOf), [session, session, session]);
    await tabs[1].evaluate(() => hallpass.logOut());
    await all(tabs, (tab) => becomes(tab, null));
    assert.deepEqual(await all(tabs, me), Array(3).fill("authentication_required"));

    const next = await world.user();
    await logIn(tabs[2], next);
    const nextSession = await sessionOf(tabs[2]);
    await all(tabs, (tab) => becomes(tab, nextSession));
    assert.deepEqual(await all(tabs, me), Array(3).fill(next.username));
    assert.deepEqual(await tabs[0].evaluate(() => heard), [session, null, nextSession]);
  });

  test("three tabs on a slow network refresh once", TIMEOUT, async (t) => {
    const tabs = await threeTabs(t);
    await world.advance(HOUR);
    world.wire.beforeAnswer = () => sleep(2_000);
    const mark = world.mark;
    const names = await all(tabs, me);
    assert.equal(new Set(names).size, 1);
    assert.match(names[0], /@/);
    assert.deepEqual(refreshes(mark), [200]);
  });

  test(
    "a tab that had to wait also waits for the news of the tab before it",
    TIMEOUT,
    async (t) => {
      const tabs = await threeTabs(t, {
        script: () => {
          const post = BroadcastChannel.prototype.postMessage;
          BroadcastChannel.prototype.postMessage = function (news) {
            setTimeout(() => post.call(this, news), 50);
          };
        },
      });
      await world.advance(HOUR);
      world.wire.beforeAnswer = () => sleep(2_000);
      const mark = world.mark;
      await all(tabs, me);
      assert.deepEqual(refreshes(mark), [200]);
    },
  );

  test(
    "three tabs that load on a slow network refresh once, and stay logged in",
    TIMEOUT,
    async (t) => {
      const tabs = await threeTabs(t);
      await all(tabs, load);
      world.wire.beforeAnswer = () => sleep(2_000);
      const mark = world.mark;
      assert.deepEqual(await all(tabs, (tab) => tab.evaluate(() => hallpass.start())), [
        true,
        true,
        true,
      ]);
      assert.deepEqual(refreshes(mark), [200]);
    },
  );

  test("a network too slow for the timeout keeps the session", TIMEOUT, async (t) => {
    const tabs = await threeTabs(t, { options: { timeout: 1_500 } });
    const session = await sessionOf(tabs[0]);
    world.wire.beforeAnswer = () => sleep(4_000);
    await world.advance(HOUR);
    assert.deepEqual(await all(tabs, me), Array(3).fill("unreachable"));
    world.wire.beforeAnswer = async () => undefined;
    assert.match(await me(tabs[1]), /@/);
    assert.deepEqual(await all(tabs, sessionOf), [session, session, session]);
  });

  test(
    "a laptop that was asleep wakes up offline, and goes on when it is online",
    TIMEOUT,
    async (t) => {
      const own = await context(t);
      await own.clock.install();
      const tabs = [await open(own), await open(own), await open(own)];
      await logIn(tabs[0], await world.user());
      await all(tabs, (tab) => tab.evaluate(() => hallpass.start()));
      const session = await sessionOf(tabs[0]);

      await own.setOffline(true);
      await world.advance(8 * HOUR);
      await own.clock.fastForward(8 * HOUR * 1000);
      assert.deepEqual(await all(tabs, me), Array(3).fill("unreachable"));
      assert.deepEqual(await all(tabs, sessionOf), [session, session, session]);

      await own.setOffline(false);
      const mark = world.mark;
      world.wire.beforeAnswer = () => sleep(1_000);
      const names = await all(tabs, me);
      assert.match(names[0], /@/);
      assert.equal(new Set(names).size, 1);
      assert.deepEqual(refreshes(mark), [200]);
      // Refreshed before the first request, so none was refused.
      assert.ok(world.wire.since(mark, "/v1/me").every(({ status }) => status === 200));
    },
  );

  test(
    "a laptop that wakes up after the session's end is logged out, in all tabs",
    TIMEOUT,
    async (t) => {
      const tabs = await threeTabs(t);
      await world.advance(8 * 24 * HOUR);
      assert.equal(await me(tabs[0]), "token_expired");
      await all(tabs, (tab) => becomes(tab, null));
    },
  );

  test("a page that is opened offline goes on when it is online", TIMEOUT, async (t) => {
    const [tab] = await threeTabs(t);
    await load(tab);
    world.wire.trouble = "down";
    assert.equal(
      await tab.evaluate(() => hallpass.start().catch(({ code }) => code)),
      "unreachable",
    );
    assert.equal(await sessionOf(tab), undefined);
    world.wire.trouble = undefined;
    assert.equal(await tab.evaluate(() => hallpass.start()), true);
  });

  test("a tab that is closed during a refresh loses nothing", TIMEOUT, async (t) => {
    const own = await context(t);
    const tab = await open(own);
    await logIn(tab, await world.user());
    const { promise: begun, resolve: begin } = withResolvers();
    const { promise: answered, resolve: letGo } = withResolvers();
    world.wire.beforeAnswer = async (path) => {
      if (!path.startsWith(REFRESH)) return;
      begin();
      await answered;
    };
    tab.evaluate(() => hallpass.refresh()).catch(() => undefined);
    await begun;
    const cookie = async () =>
      (await own.cookies()).find(({ name }) => name.endsWith("refresh")).value;
    const old = await cookie();
    await tab.close();
    letGo();
    for (const deadline = Date.now() + 15_000; (await cookie()) === old; await sleep(50)) {
      assert.ok(Date.now() < deadline, "the browser has the new cookie");
    }
    // The old cookie would look stolen by now.
    await world.advance(HOUR);
    const next = await open(own);
    assert.equal(await next.evaluate(() => hallpass.start()), true);
  });

  test("a frozen tab that holds the lock does not stop the others for ever", TIMEOUT, async (t) => {
    const [frozen, tab] = await threeTabs(t, { options: { timeout: 1_500 } });
    await frozen.evaluate(async (url) => {
      await new Promise((held) => {
        navigator.locks.request(
          `hallpass:cookie:${url}`,
          () => (held(), new Promise(() => undefined)),
        );
      });
    }, world.url);
    await tab.evaluate(() => hallpass.refresh());
    assert.ok(await sessionOf(tab));
  });

  for (const missing of ["locks", "channel"]) {
    test(
      `two tabs with one stored refresh token and no ${missing} end with a valid session`,
      TIMEOUT,
      async (t) => {
        const script =
          missing === "locks"
            ? () => Object.defineProperty(Navigator.prototype, "locks", { value: undefined })
            : () => void (globalThis.BroadcastChannel = undefined);
        const own = await context(t, {
          options: { mode: "bearer", storage: "localStorage" },
          script,
        });
        const tabs = [await open(own), await open(own)];
        await logIn(tabs[0], await world.user());
        await tabs[1].evaluate(() => hallpass.start());
        for (let round = 0; round < 5; round++) {
          await all(tabs, (tab) => tab.evaluate(() => hallpass.refresh()));
          await world.advance(HOUR);
          const names = await all(tabs, me);
          assert.match(names[0], /@/);
          assert.equal(names[1], names[0]);
        }
      },
    );
  }

  test("bearer mode without a storage is a session of one tab", TIMEOUT, async (t) => {
    const own = await context(t, { options: { mode: "bearer" } });
    const tabs = [await open(own), await open(own)];
    const users = [await world.user(), await world.user()];
    await Promise.all(tabs.map((tab, index) => logIn(tab, users[index])));
    await all(tabs, (tab) => tab.evaluate(() => hallpass.refresh()));
    assert.deepEqual(
      await all(tabs, me),
      users.map(({ username }) => username),
    );
    await tabs[0].evaluate(() => hallpass.logOut());
    assert.equal(await me(tabs[1]), users[1].username);
  });

  test("a service worker has the session of the tabs, and its end", TIMEOUT, async (t) => {
    const tab = await open(await context(t));
    const user = await world.user();
    await logIn(tab, user);
    const session = await sessionOf(tab);
    const ask = () =>
      tab.evaluate(async (url) => {
        await navigator.serviceWorker.register(`/worker.js?service=${encodeURIComponent(url)}`, {
          type: "module",
        });
        const { active } = await navigator.serviceWorker.ready;
        return new Promise((answered) => {
          const { port1, port2 } = new MessageChannel();
          port1.onmessage = ({ data }) => answered(data);
          active.postMessage("me", [port2]);
        });
      }, world.url);
    assert.deepEqual(await ask(), { email: user.username, session });
    await world.advance(HOUR);
    assert.deepEqual(await ask(), { email: user.username, session });
    await tab.evaluate(() => hallpass.logOut());
    assert.deepEqual(await ask(), { code: "authentication_required", session: null });
  });
});

/** `Promise.withResolvers`, which Node 20 lacks. */
function withResolvers() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}
