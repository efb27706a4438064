/** The built Nuxt application in Chromium, with the live service. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { launchChromium } from "../../tests/support/chromium.mjs";
import { freePort } from "../../tests/support/listen.mjs";
import { World } from "../../tests/support/world.mjs";

const TIMEOUT = { timeout: 120_000 };

describe("Nuxt with @sidebase/nuxt-auth", () => {
  let world;
  let app;
  let browser;
  before(async () => {
    world = await World.start(async ({ url, undo }) => {
      app = await startApp(url, undo);
      browser = await launchChromium();
      undo.push(() => browser.close());
      return { HALLPASS_CORS_ORIGINS: app };
    });
  });
  after(() => world?.stop());

  async function loggedIn(t, user) {
    const context = await browser.newContext();
    t.after(() => context.close());
    const page = await context.newPage();
    await page.goto(app);
    await page.waitForURL(`${app}/login**`);
    await hydrated(page);
    await page.getByLabel("User name").fill(user.username);
    await page.getByLabel("Password").fill("wrong password");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("alert").filter({ hasText: /\w/ }).waitFor();
    await page.getByLabel("Password").fill(user.password);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText(user.username).waitFor();
    return page;
  }

  test("logs in, and the server renders the user's page", TIMEOUT, async (t) => {
    const user = await world.user();
    const page = await loggedIn(t, user);
    await page.goto(app);
    assert.match(await (await page.context().request.get(app)).text(), new RegExp(user.username));
  });

  test("renews after the expiry, on the server and in the page", TIMEOUT, async (t) => {
    const user = await world.user();
    const page = await loggedIn(t, user);
    for (let round = 0; round < 2; round++) {
      await world.advance(600);
      await page.goto(app);
      await page.getByText(user.username).waitFor();
      await hydrated(page);
      await world.advance(600);
      const renewed = page.waitForResponse(
        (answer) => answer.url().endsWith("/v1/me") && answer.ok(),
      );
      await page.getByRole("button", { name: "Refresh" }).click();
      await renewed;
      await page.getByText(user.username).waitFor();
    }
  });

  test("two pages that load at once stay logged in", TIMEOUT, async (t) => {
    const user = await world.user();
    const page = await loggedIn(t, user);
    const other = await page.context().newPage();
    for (let round = 0; round < 3; round++) {
      await Promise.all([page.goto(app), other.goto(app)]);
      await Promise.all([page, other].map((tab) => tab.getByText(user.username).waitFor()));
    }
  });

  test("a log-out ends the session at Hallpass", TIMEOUT, async (t) => {
    const page = await loggedIn(t, await world.user());
    await hydrated(page);
    const mark = world.mark;
    await page.getByRole("button", { name: "Log out" }).click();
    await page.waitForURL(`${app}/login**`);
    assert.deepEqual(
      world.posts(mark, "/v1/token-revoke").map(({ status }) => status),
      [204],
    );
    await page.goto(app);
    await page.waitForURL(`${app}/login**`);
  });
});

/** Before that, forms and buttons of the page that the server rendered do nothing. */
function hydrated(page) {
  return page.waitForFunction(() => window.useNuxtApp?.().isHydrating === false);
}

async function startApp(hallpass, undo) {
  const port = await freePort();
  const server = spawn(
    process.execPath,
    [fileURLToPath(new URL(".output/server/index.mjs", import.meta.url))],
    {
      env: {
        ...process.env,
        HOST: "127.0.0.1",
        PORT: String(port),
        NUXT_PUBLIC_AUTH_BASE_URL: hallpass,
      },
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  const ended = new Promise((done) => server.once("exit", done));
  undo.push(() => (server.kill(), ended));
  const origin = `http://127.0.0.1:${port}`;
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(100)) {
    // Any answer will do: Hallpass is not there yet.
    if (
      await fetch(`${origin}/login`).then(
        () => true,
        () => false,
      )
    )
      return origin;
  }
  throw new Error("the Nuxt application does not answer");
}
