/** What scripts cannot read, and what pages of other origins cannot do. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { World, databases } from "./support/world.mjs";

const TIMEOUT = { timeout: 120_000 };
const REFRESH_COOKIE = "__Host-hallpass_refresh";
const ACCESS_COOKIE = "__Host-hallpass_access";

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
      assert.deepEqual(cookies.map(({ name }) => name).sort(), [ACCESS_COOKIE, REFRESH_COOKIE]);
      for (const { httpOnly, secure, sameSite, path } of cookies) {
        assert.deepEqual({ httpOnly, secure, sameSite, path }, { httpOnly: true, secure: true, sameSite: "Strict", path: "/" });
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

/** Somebody whose name and password the attacking page knows: its own account. */
async function attacker(world, t) {
  const eve = await world.person(t);
  eve.password = "the harbour=at dusk"; // an equals sign, for the form that is to look like JSON
  await eve.register();
  await eve.verifyWithCode();
  return { username: eve.email, password: eve.password };
}

/** `mina` has the same cookies after the attack as before, and is still logged in as herself. */
async function unharmedBy(world, mina, attacking, origin) {
  const cookies = async () => (await mina.context.cookies()).map(({ name, value }) => `${name}=${value}`).sort();
  const before = await cookies();
  const mark = world.wire.exchanges.length;
  const report = await attacking();
  await sleep(500); // forms and beacons give no answer to wait for
  const exchanges = world.wire.since(mark, "/v1/").filter((exchange) => exchange.origin === origin);
  const posts = exchanges.filter(({ method }) => method === "POST");
  // They came as far as the service: it is the service that refused them.
  for (const path of ["/v1/token-auth", "/v1/token-refresh", "/v1/token-revoke"]) {
    assert.ok(posts.filter((exchange) => exchange.path === path).length >= 4, `${path}: ${report.join(", ")}`);
  }
  for (const { method, path, status, headers } of exchanges) {
    assert.equal(headers["set-cookie"], undefined, `${method} ${path} set a cookie`);
    assert.notEqual(headers["access-control-allow-origin"], origin);
    assert.notEqual(headers["access-control-allow-origin"], "*");
    if (method === "POST") assert.ok(status >= 400 && status < 500, `${method} ${path}: ${status}`);
  }
  if (origin === world.sameSiteStranger) {
    assert.ok(posts.some(({ cookie }) => cookie.includes(REFRESH_COOKIE)), "the cookie came along");
  }
  assert.deepEqual(report.filter((line) => /readable/.test(line)), []);
  assert.deepEqual(await cookies(), before);
  await mina.page.reload();
  await mina.sees("Profile");
  await mina.reads(mina.email);
}

function attack(frame, url, eve) {
  return frame.evaluate(
    async ([url, eve]) => {
      const targets = [
        ["/v1/token-auth", { use_cookie: true, ...eve }],
        ["/v1/token-refresh", { use_cookie: true }],
        ["/v1/token-revoke", { use_cookie: true }],
      ];
      const report = [];
      const attempt = async (name, path, options) => {
        const answer = await fetch(url + path, { method: "POST", credentials: "include", ...options }).catch(() => undefined);
        const readable = answer && answer.type !== "opaque";
        report.push(`${name} ${path}: ${readable ? `readable ${answer.status}` : "nothing"}`);
      };
      const submit = async (path, enctype, fields) => {
        const sink = Object.assign(document.createElement("iframe"), { name: `sink${report.length}` });
        const form = Object.assign(document.createElement("form"), { method: "post", action: url + path, enctype, target: sink.name });
        for (const [name, value] of fields) form.append(Object.assign(document.createElement("input"), { name, value }));
        document.body.append(sink, form);
        const loaded = new Promise((done) => sink.addEventListener("load", done));
        form.submit();
        await Promise.race([loaded, new Promise((done) => setTimeout(done, 1_000))]);
        report.push(`form ${enctype} ${path}`);
      };
      for (const [path, fields] of targets) {
        const body = JSON.stringify(fields);
        const typed = (type) => ({ body, headers: { "Content-Type": type } });
        await attempt("json", path, typed("application/json"));
        await attempt("text", path, typed("text/plain"));
        await attempt("no-cors text", path, { ...typed("text/plain"), mode: "no-cors" });
        await attempt("no-cors untyped", path, { body: new Blob([body]), mode: "no-cors" });
        await attempt("no-cors blob", path, { body: new Blob([body], { type: "application/json" }), mode: "no-cors" });
        navigator.sendBeacon(url + path, body);
        // `name=value` as text/plain: split at the equals sign, this is the JSON text itself.
        const [name, value] = body.includes("=") ? body.split("=") : [`${body.slice(0, -1)},"x":"`, '"}'];
        await submit(path, "text/plain", [[name, value]]);
        await submit(path, "application/x-www-form-urlencoded", Object.entries(fields));
        await submit(path, "multipart/form-data", Object.entries(fields));
      }
      await attempt("who is it", "/v1/forward-auth", { method: "GET" });
      return report;
    },
    [url, eve],
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
  const readable = [document.cookie, { ...localStorage }, { ...sessionStorage }, await cookieStore.getAll(), await indexedDB.databases(), await caches.keys(), history.state, location.href];
  return { answers: window.answers, kept: JSON.stringify(readable) };
}
