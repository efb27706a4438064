/** What scripts cannot read, and what pages of other origins cannot do. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { World, databases } from "./support/world.mjs";

const TIMEOUT = { timeout: 120_000 };
const REFRESH_COOKIE = "__Host-hallpass_refresh";
const ACCESS_COOKIE = "__Host-hallpass_access";
const DEVICE_COOKIE = "__Host-hallpass_device";

for (const database of databases) {
  describe(`scripts and strangers, on ${database.name}`, () => {
    let world;
    before(async () => (world = await World.start(database.settings)));
    after(() => world?.stop());

    test("no script can read the refresh token", TIMEOUT, async (t) => {
      const mark = world.wire.exchanges.length;
      const mina = await world.person(t);
      await mina.context.addInitScript(recordAnswers);
      await mina.register();
      await mina.verifyWithCode();
      await mina.page.reload();
      await mina.sees("Profile");
      await mina.press("Log out");
      await mina.sees("Log in");
      await mina.logIn();

      // It is there, and the browser keeps it from scripts.
      const cookies = await mina.context.cookies();
      const refresh = cookies.find(({ name }) => name === REFRESH_COOKIE);
      assert.match(refresh.value, /^hpr_/);
      assert.deepEqual(cookies.map(({ name }) => name).sort(), [ACCESS_COOKIE, DEVICE_COOKIE, REFRESH_COOKIE]);
      for (const { httpOnly, secure, sameSite, path } of cookies) {
        assert.deepEqual([httpOnly, secure, sameSite, path], [true, true, "Strict", "/"]);
      }
      for (const page of mina.context.pages()) {
        const { answers, kept } = await page.evaluate(whatScriptsCanRead);
        assert.ok(answers.some((answer) => answer.includes('"access_token"')), "the record is of the real answers");
        assert.doesNotMatch(answers.join("\n"), /hpr_|set-cookie/i);
        // Nor is the access token kept anywhere.
        assert.doesNotMatch(kept, /hpr_|eyJ|hallpass_/);
      }
      const bodies = world.wire.since(mark).map(({ body }) => body);
      assert.ok(bodies.some((body) => body.includes('"access_token"')));
      assert.doesNotMatch(bodies.join("\n"), /hpr_|"refresh_token"/);
    });

    for (const [kind, origin] of [
      ["another port of the same host", () => world.sameSiteStranger],
      ["another site", () => world.otherSiteStranger],
    ]) {
      test(`a page of ${kind} can neither log in, refresh nor log out`, TIMEOUT, async (t) => {
        const mina = await world.member(t);
        const eve = await attacker(world, t);
        await unharmedBy(world, mina, async () => {
          const page = await mina.context.newPage();
          await page.goto(origin());
          return attack(page.mainFrame(), world.wire.url, eve);
        }, origin());
      });
    }

    test("a sandboxed frame, whose origin is null, can neither log in, refresh nor log out", TIMEOUT, async (t) => {
      const mina = await world.member(t);
      const eve = await attacker(world, t);
      await unharmedBy(world, mina, async () => {
        const page = await mina.context.newPage();
        await page.goto(world.sameSiteStranger);
        await page.setContent('<iframe sandbox="allow-scripts allow-forms" srcdoc="<p>a frame</p>"></iframe>');
        const frame = await (await page.waitForSelector("iframe")).contentFrame();
        await frame.waitForSelector("p");
        return attack(frame, world.wire.url, eve);
      }, "null");
    });
  });
}

/** An attacker's own account: the attacking page knows its name and password. */
async function attacker(world, t) {
  const eve = await world.person(t);
  eve.password = "the harbour=at dusk"; // an equals sign, for the form that is to look like JSON
  await eve.register();
  await eve.verifyWithCode();
  return { username: eve.email, password: eve.password };
}

const PATHS = ["/v1/token-auth", "/v1/token-refresh", "/v1/token-revoke"];

/** `mina` has the same cookies after the attack as before, and is still logged in as herself. */
async function unharmedBy(world, mina, attacking, origin) {
  const cookies = async () => (await mina.context.cookies()).map(({ name, value }) => `${name}=${value}`).sort();
  const before = await cookies();
  const exchanges = [];
  for (world.wire.lenient of [false, true]) {
    const mark = world.wire.exchanges.length;
    await attacking();
    await sleep(500); // forms and beacons give no answer to wait for
    exchanges.push(...world.wire.since(mark, "/v1/").filter((exchange) => exchange.origin === origin));
  }
  world.wire.lenient = false;

  for (const { method, path, status, headers } of exchanges) {
    assert.equal(headers["set-cookie"], undefined, `${method} ${path} set a cookie`);
    assert.equal(headers["access-control-allow-origin"], undefined, `${method} ${path} can be read`);
    assert.ok(status >= 400 && status < 500, `${method} ${path}: ${status}`);
  }
  // They came as far as the service: it is the service that refused them, and for their origin alone
  // where nothing else was wrong with them.
  for (const path of PATHS) {
    const posts = exchanges.filter((exchange) => exchange.method === "POST" && exchange.path === path);
    assert.ok(posts.length > 10, `${posts.length} requests came to ${path}`);
    assert.ok(posts.some(({ body }) => body.includes('"origin_rejected"')), `the origin was looked at, ${path}`);
    assert.equal(posts.some(({ cookie }) => cookie.includes(REFRESH_COOKIE)), origin === world.sameSiteStranger);
  }
  assert.deepEqual(await cookies(), before);
  await mina.page.reload();
  await mina.sees("Profile");
  await mina.reads(mina.email);
}

/** Everything that a page can send elsewhere without being asked for leave, and what needs leave. */
function attack(frame, url, eve) {
  const targets = [
    ["/v1/token-auth", { use_cookie: true, ...eve }],
    ["/v1/token-refresh", { use_cookie: true }],
    ["/v1/token-revoke", { use_cookie: true }],
  ];
  return frame.evaluate(
    async ([url, targets]) => {
      const send = (path, options) =>
        fetch(url + path, { method: "POST", credentials: "include", ...options }).catch(() => undefined);
      const element = (tag, properties) => Object.assign(document.createElement(tag), properties);
      const submit = async (path, enctype, fields) => {
        const name = `${path}-${enctype}`;
        const sink = element("iframe", { name });
        const form = element("form", { method: "post", action: url + path, enctype, target: name });
        form.append(...fields.map(([name, value]) => element("input", { name, value })));
        document.body.append(sink, form);
        const loaded = new Promise((done) => sink.addEventListener("load", done));
        form.submit();
        await Promise.race([loaded, new Promise((done) => setTimeout(done, 1_000))]);
        sink.remove();
        form.remove();
      };
      for (const [path, fields] of targets) {
        const body = JSON.stringify(fields);
        const typed = (type) => ({ body, headers: { "Content-Type": type } });
        await send(path, typed("application/json"));
        await send(path, typed("text/plain"));
        await send(path, { ...typed("text/plain"), mode: "no-cors" });
        await send(path, { body: new Blob([body]), mode: "no-cors" });
        await send(path, { body: new Blob([body], { type: "application/json" }), mode: "no-cors" });
        navigator.sendBeacon(url + path, body);
        // A form sends `name=value`: cut at an equals sign, the JSON text comes out whole.
        const [name, value] = body.includes("=") ? body.split("=") : [`${body.slice(0, -1)},"x":"`, '"}'];
        await submit(path, "text/plain", [[name, value]]);
        await submit(path, "application/x-www-form-urlencoded", Object.entries(fields));
        await submit(path, "multipart/form-data", Object.entries(fields));
      }
      await send("/v1/forward-auth", { method: "GET" });
    },
    [url, targets],
  );
}

/** In the page, before its own scripts: writes down what `fetch` lets them see. */
function recordAnswers() {
  const real = window.fetch;
  window.answers = [];
  window.fetch = async (...request) => {
    const answer = await real(...request);
    window.answers.push(`${JSON.stringify([...answer.headers])} ${await answer.clone().text()}`);
    return answer;
  };
}

async function whatScriptsCanRead() {
  const stores = [document.cookie, { ...localStorage }, { ...sessionStorage }, await cookieStore.getAll()];
  const kept = [...stores, await indexedDB.databases(), await caches.keys(), history.state, location.href];
  return { answers: window.answers, kept: JSON.stringify(kept) };
}
