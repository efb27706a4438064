/** Bearer mode in Node, against the live service. */
import assert from "node:assert/strict";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import { Hallpass, HallpassError, unwrap } from "hallpass-client";
import { listen } from "./support/listen.mjs";
import { World } from "./support/world.mjs";

const TIMEOUT = { timeout: 120_000 };
const REFRESH = "/v1/token-refresh";

describe("in Node", () => {
  let world;
  before(async () => (world = await World.start()));
  after(() => world?.stop());

  /** A client; `intercept` may answer in the place of the service. */
  function client({ intercept = (request) => fetch(request), ...options } = {}) {
    return new Hallpass({ url: world.url, mode: "bearer", fetch: intercept, ...options });
  }

  async function member(options) {
    const hallpass = client(options);
    await hallpass.logIn(await world.user());
    return hallpass;
  }

  /** Moves the clocks of both sides. */
  function pass(t, seconds) {
    t.mock.timers.enable({ apis: ["Date"], now: Date.now() + seconds * 1000 });
    return world.advance(seconds);
  }

  const me = (hallpass) => unwrap(hallpass.api.GET("/v1/me"));

  test("the main job: log in, own account, log out", TIMEOUT, async () => {
    const hallpass = client();
    const heard = [];
    hallpass.onChange((session) => heard.push(session));
    const user = await world.user();
    assert.equal(await hallpass.start(), false);
    const { session_id } = await hallpass.logIn(user);
    assert.equal(hallpass.session, session_id);
    assert.equal((await me(hallpass)).email, user.username);
    const changed = await unwrap(hallpass.api.PATCH("/v1/me", { body: { locale: "ko" } }));
    assert.equal(changed.locale, "ko");
    await hallpass.logOut();
    assert.equal(hallpass.session, null);
    assert.equal(await hallpass.token(), undefined);
    await assert.rejects(me(hallpass), { code: "authentication_required" });
    assert.deepEqual(heard, [null, session_id, null]);
  });

  test("errors have the service's code, its fields, and the status", TIMEOUT, async () => {
    const hallpass = client();
    const { username } = await world.user();
    await assert.rejects(hallpass.logIn({ username, password: "wrong password" }), (error) => {
      assert.ok(error instanceof HallpassError);
      assert.deepEqual([error.code, error.status], ["invalid_credentials", 401]);
      return true;
    });
    await assert.rejects(
      hallpass.register({ email: "x@example.com", password: "short" }),
      (error) => {
        assert.deepEqual(
          [error.code, error.problem.errors[0].field],
          ["validation_failed", "password"],
        );
        return true;
      },
    );
  });

  test("a wrong password in a form causes no refresh", TIMEOUT, async () => {
    const hallpass = await member();
    const mark = world.mark;
    const body = { current_password: "wrong password", new_password: "clouds over quiet harbours" };
    await assert.rejects(unwrap(hallpass.api.POST("/v1/password-change", { body })), {
      code: "invalid_credentials",
    });
    assert.equal(world.posts(mark, REFRESH).length, 0);
  });

  test("many requests with an expired token: one refresh, before them", TIMEOUT, async (t) => {
    const hallpass = await member();
    await pass(t, 600);
    const mark = world.mark;
    await Promise.all(Array.from({ length: 20 }, () => me(hallpass)));
    assert.deepEqual(
      world.posts(mark, REFRESH).map(({ status }) => status),
      [200],
    );
    assert.equal(
      world.wire.since(mark, "/v1/me").filter(({ status }) => status === 200).length,
      20,
    );
  });

  test(
    "a clock that is wrong: one refresh, and each request is repeated once",
    TIMEOUT,
    async () => {
      const hallpass = await member();
      await world.advance(600);
      const mark = world.mark;
      await Promise.all(Array.from({ length: 10 }, () => me(hallpass)));
      assert.equal(world.posts(mark, REFRESH).length, 1);
      const statuses = world.wire.since(mark, "/v1/me").map(({ status }) => status);
      assert.ok(statuses.filter((status) => status === 401).length <= 10);
      assert.equal(statuses.filter((status) => status === 200).length, 10);
    },
  );

  test(
    "shortly before the expiry the token is renewed, and requests do not wait for it",
    TIMEOUT,
    async (t) => {
      let letGo = () => undefined;
      const held = new Promise((done) => (letGo = done));
      const hallpass = await member({
        intercept: async (request) => {
          if (request.url.endsWith(REFRESH)) await held;
          return fetch(request);
        },
      });
      const old = await hallpass.token();
      await pass(t, 250);
      assert.equal(await hallpass.token(), old);
      await me(hallpass);
      letGo();
      await hallpass.refresh();
      assert.notEqual(await hallpass.token(), old);
    },
  );

  test(
    "an application's own API gets the token, and the repeated request its body",
    TIMEOUT,
    async () => {
      const bodies = [];
      const api = http.createServer(async (request, response) => {
        const chunks = await request.toArray();
        bodies.push(Buffer.concat(chunks).toString());
        const token = request.headers.authorization?.slice(7) ?? "";
        const checked = await fetch(`${world.url}/v1/token-verify`, {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ token }),
        });
        response
          .writeHead(
            checked.status,
            checked.ok ? {} : { "WWW-Authenticate": 'Bearer error="invalid_token"' },
          )
          .end();
      });
      const origin = await listen(api);
      try {
        const hallpass = await member({ origins: [origin] });
        await world.advance(600);
        const answer = await hallpass.fetch(`${origin}/orders`, {
          method: "POST",
          body: "two plums",
        });
        assert.equal(answer.status, 200);
        assert.deepEqual(bodies, ["two plums", "two plums"]);
      } finally {
        api.close();
      }
    },
  );

  test("no other origin gets the token", TIMEOUT, async () => {
    const hallpass = await member();
    await assert.rejects(hallpass.fetch("https://elsewhere.example/"), /in `origins`/);
    await assert.rejects(hallpass.fetch(world.url.replace("127.0.0.1", "localhost")), TypeError);
  });

  test("a 401 that stays is handed on after one refresh", TIMEOUT, async () => {
    const refused = () => Response.json({ code: "token_expired" }, { status: 401 });
    const hallpass = await member({
      intercept: (request) => (request.url.endsWith("/v1/me") ? refused() : fetch(request)),
    });
    const mark = world.mark;
    await assert.rejects(me(hallpass), { code: "token_expired" });
    assert.equal(world.posts(mark, REFRESH).length, 1);
    assert.ok(hallpass.session);
  });

  const problem = (status, code) => () => Response.json({ code, detail: code }, { status });
  const kept = {
    "no network": () => {
      throw new TypeError("fetch failed");
    },
    "an answer that never comes": (request) =>
      new Promise((_, reject) => {
        request.signal.addEventListener("abort", () => reject(request.signal.reason));
      }),
    "a refresh that is cut off": () =>
      new Response(new ReadableStream({ start: (body) => body.error(new TypeError()) })),
    "a proxy's 502": () => new Response("<h1>Bad Gateway</h1>", { status: 502 }),
    "a proxy's 401": () => new Response("<h1>Log in to the proxy</h1>", { status: 401 }),
    "a captive portal": () => new Response("<h1>Welcome to the hotel</h1>"),
    "JSON of another program": () => Response.json({ ok: true }),
    429: problem(429, "rate_limited"),
    500: problem(500, "internal_error"),
    503: problem(503, "unavailable"),
    "a page of the wrong origin": problem(403, "origin_rejected"),
    "a superseded token": problem(401, "refresh_token_superseded"),
    "a code of tomorrow": problem(401, "refresh_token_postponed"),
    "the right code with another status": problem(400, "refresh_token_revoked"),
  };
  for (const [what, answer] of Object.entries(kept)) {
    test(`the session is kept after ${what}`, TIMEOUT, async (t) => {
      let trouble = true;
      const hallpass = await member({
        timeout: 1_000,
        intercept: async (request) =>
          trouble && request.url.endsWith(REFRESH) ? answer(request) : fetch(request),
      });
      const { session } = hallpass;
      await pass(t, 600);
      await assert.rejects(me(hallpass), HallpassError);
      assert.equal(hallpass.session, session);
      trouble = false;
      await me(hallpass);
      assert.equal(hallpass.session, session);
    });
  }

  for (const code of ["unknown", "expired", "revoked", "reused"].map(
    (why) => `refresh_token_${why}`,
  )) {
    test(`${code} ends the session`, TIMEOUT, async () => {
      const answer = problem(401, code);
      const hallpass = await member({
        intercept: async (request) => (request.url.endsWith(REFRESH) ? answer() : fetch(request)),
      });
      await hallpass.refresh();
      assert.equal(hallpass.session, null);
    });
  }

  test("a session that was ended elsewhere ends here with the next request", TIMEOUT, async () => {
    const user = await world.user();
    const [here, there] = [client(), client()];
    await here.logIn(user);
    await there.logIn(user);
    await unwrap(there.api.DELETE("/v1/me/sessions"));
    await assert.rejects(me(here), { code: "token_revoked" });
    assert.equal(here.session, null);
    await me(there);
  });

  test("an answer to a refresh that is lost is fetched again at once", TIMEOUT, async (t) => {
    let losses = 1;
    const hallpass = await member({
      intercept: async (request) => {
        const answer = await fetch(request);
        if (request.url.endsWith(REFRESH) && losses-- > 0) throw new TypeError("fetch failed");
        return answer;
      },
    });
    await pass(t, 600);
    await me(hallpass);
    // Were it left to the next request, this would look like theft.
    await world.advance(600);
    await me(hallpass);
  });

  test("a log-out during a refresh is not undone by its answer", TIMEOUT, async () => {
    const hallpass = await member();
    const refreshing = hallpass.refresh();
    await hallpass.logOut();
    await refreshing;
    assert.equal(hallpass.session, null);
    assert.equal(await hallpass.token(), undefined);
  });

  test("a log-out that did not reach the service is none", TIMEOUT, async () => {
    const hallpass = await member({
      intercept: (request) =>
        request.url.endsWith("/v1/token-revoke") ? Response.error() : fetch(request),
    });
    await assert.rejects(hallpass.logOut(), { code: "unreachable" });
    await me(hallpass);
  });

  test("a request of one user is never repeated in the name of the next", TIMEOUT, async () => {
    const [first, second] = [await world.user(), await world.user()];
    let before401 = async () => undefined;
    const hallpass = client({
      intercept: async (request) => {
        const answer = await fetch(request);
        if (answer.status === 401) await before401();
        return answer;
      },
    });
    await hallpass.logIn(first);
    before401 = async () => {
      before401 = async () => undefined;
      await hallpass.logIn(second);
    };
    await world.advance(600);
    await assert.rejects(unwrap(hallpass.api.PATCH("/v1/me", { body: { locale: "ko" } })), {
      code: "token_expired",
    });
    assert.notEqual((await me(hallpass)).locale, "ko");
  });

  test(
    "a storage keeps the session for the next start, and the device for the next log-in",
    TIMEOUT,
    async () => {
      const storage = mapStorage((value) => Promise.resolve(value));
      const user = await world.user();
      const first = client({ storage });
      await first.logIn(user);
      const next = client({ storage });
      assert.equal(await next.start(), true);
      assert.equal(next.session, first.session);
      await next.logOut();
      assert.equal(await client({ storage }).start(), false);

      let sent;
      const last = client({
        storage,
        intercept: async (request) => {
          sent = await request.clone().json();
          return fetch(request);
        },
      });
      await last.logIn(user);
      assert.match(sent.device_token, /^hpd_/);
    },
  );

  describe("two clients with one stored refresh token, as in two processes", () => {
    const channel = globalThis.BroadcastChannel;
    before(() => (globalThis.BroadcastChannel = undefined));
    after(() => (globalThis.BroadcastChannel = channel));

    async function twoClients(intercept = (request) => fetch(request)) {
      const storage = mapStorage();
      const clients = [client({ storage, intercept }), client({ storage })];
      await clients[0].logIn(await world.user());
      await clients[1].start();
      return clients;
    }

    test("both end with a valid session", TIMEOUT, async (t) => {
      const clients = await twoClients();
      for (let round = 0; round < 5; round++) {
        await Promise.all(clients.map((one) => one.refresh()));
        await pass(t, 600);
        await Promise.all(clients.map(me));
        t.mock.timers.reset();
      }
    });

    test("an answer that comes late does not bring back an old token", TIMEOUT, async (t) => {
      let letGo = () => undefined;
      let begin = () => undefined;
      const held = new Promise((done) => (letGo = done));
      const begun = new Promise((done) => (begin = done));
      const clients = await twoClients(async (request) => {
        const answer = await fetch(request);
        if (request.url.endsWith(REFRESH)) {
          begin();
          await held;
        }
        return answer;
      });
      const late = clients[0].refresh();
      await begun;
      await clients[1].refresh();
      await clients[1].refresh();
      letGo();
      await late;
      await pass(t, 600);
      await Promise.all(clients.map(me));
    });
  });
});

/** A storage in memory, without a promise around its answers or with one. */
function mapStorage(answer = (value) => value) {
  const values = new Map();
  return {
    getItem: (key) => answer(values.get(key) ?? null),
    setItem: (key, value) => answer(void values.set(key, value)),
    removeItem: (key) => answer(void values.delete(key)),
  };
}
