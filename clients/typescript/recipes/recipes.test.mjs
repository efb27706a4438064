/** Each recipe at work with the live service. */
import assert from "node:assert/strict";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import { Auth } from "@auth/core";
import { Hallpass } from "hallpass-client";
import { listen } from "../tests/support/listen.mjs";
import { World } from "../tests/support/world.mjs";
import { authConfig } from "./auth-js.mjs";
import * as axios from "./axios.mjs";
import * as ky from "./ky.mjs";
import { me, queryClient } from "./tanstack-query.mjs";

const TIMEOUT = { timeout: 60_000 };

describe("recipes", () => {
  let world;
  let api;
  before(async () => {
    world = await World.start(async (world) => {
      const server = ordersServer(world.url);
      api = await listen(server);
      world.undo.push(() => (server.closeAllConnections(), server.close()));
      return {};
    });
  });
  after(() => world?.stop());

  async function member() {
    const hallpass = new Hallpass({ url: world.url, mode: "bearer", origins: [api] });
    const user = await world.user();
    await hallpass.logIn(user);
    return { hallpass, ...user };
  }

  const clients = {
    axios: (hallpass) => {
      const orders = axios.orders(hallpass, api);
      return async (body) => (await orders.post("/orders", body)).data;
    },
    ky: (hallpass) => {
      const orders = ky.orders(hallpass, api);
      return (json) => orders.post("orders", { json }).json();
    },
  };
  for (const [name, make] of Object.entries(clients)) {
    test(
      `${name} sends the token, and sends the request again after the expiry`,
      TIMEOUT,
      async () => {
        const { hallpass, username } = await member();
        const order = make(hallpass);
        assert.deepEqual(await order({ plums: 2 }), { customer: username, plums: 2 });
        await world.advance(600);
        assert.deepEqual(await order({ plums: 3 }), { customer: username, plums: 3 });
        await hallpass.logOut();
        await assert.rejects(order({ plums: 4 }), ({ response }) => response.status === 401);
      },
    );
  }

  test(
    "axios with an interceptor sends the token, and renews it beforehand",
    TIMEOUT,
    async (t) => {
      const { hallpass, username } = await member();
      const orders = axios.ordersByInterceptor(hallpass, api);
      assert.equal((await orders.post("/orders", {})).data.customer, username);
      t.mock.timers.enable({ apis: ["Date"], now: Date.now() + 600_000 });
      await world.advance(600);
      assert.equal((await orders.post("/orders", {})).data.customer, username);
    },
  );

  test(
    "TanStack Query loads, renews, and forgets the user's data after a log-out",
    TIMEOUT,
    async () => {
      const { hallpass, username } = await member();
      const queries = queryClient(hallpass);
      assert.equal((await queries.fetchQuery(me(hallpass))).email, username);
      await world.advance(600);
      assert.equal((await queries.fetchQuery(me(hallpass))).email, username);
      await hallpass.logOut();
      assert.equal(queries.getQueryData(["me"]), undefined);
      const mark = world.mark;
      await assert.rejects(queries.fetchQuery(me(hallpass)), { code: "authentication_required" });
      assert.equal(world.wire.since(mark).length, 1, "a refusal is not repeated");
    },
  );

  test("Auth.js logs in, renews, survives trouble, and logs out", TIMEOUT, async (t) => {
    const { username, password } = await world.user();
    const app = new AuthJs(authConfig(world.url, "a secret of the application, for its cookies"));
    await app.logIn(username, "wrong password");
    assert.equal(await app.session(), null);
    await app.logIn(username, password);
    const first = await app.session();
    assert.equal(first.user.email, username);
    assert.deepEqual(await customer(first), { status: 200, customer: username });

    t.mock.timers.enable({ apis: ["Date"], now: Date.now() + 600_000 });
    await world.advance(600);
    world.wire.trouble = "unwell";
    assert.equal((await app.session()).user.email, username);
    world.wire.trouble = undefined;
    // Two requests of one page that renew at once.
    const [one, other] = await Promise.all([app.session(), app.session()]);
    assert.notEqual(one.accessToken, first.accessToken);
    assert.equal(other.user.email, username);
    assert.deepEqual(await customer(one), { status: 200, customer: username });

    await app.logOut();
    assert.equal(await app.session(), null);
    assert.equal((await customer(one)).status, 401);
  });

  test("Auth.js ends with Hallpass's session", TIMEOUT, async (t) => {
    const { username, password } = await world.user();
    const app = new AuthJs(authConfig(world.url, "a secret of the application, for its cookies"));
    await app.logIn(username, password);
    const { accessToken } = await app.session();
    const hallpass = new Hallpass({ url: world.url, mode: "bearer" });
    await hallpass.logIn({ username, password });
    await hallpass.api.DELETE("/v1/me/sessions");
    assert.equal((await customer({ accessToken })).status, 401);
    t.mock.timers.enable({ apis: ["Date"], now: Date.now() + 600_000 });
    assert.equal(await app.session(), null);
  });

  async function customer({ accessToken }) {
    const headers = { Authorization: `Bearer ${accessToken}`, "Content-Type": "application/json" };
    const answer = await fetch(`${api}/orders`, { method: "POST", headers, body: "{}" });
    return { status: answer.status, ...(await answer.json()) };
  }
});

/** An application's API: it asks Hallpass about the token, and says who ordered what. */
function ordersServer(hallpass) {
  return http.createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    const { authorization = "" } = request.headers;
    const asked = await fetch(`${hallpass}/v1/me`, { headers: { Authorization: authorization } });
    const answer = await asked.json();
    const headers = { "Content-Type": "application/json" };
    if (asked.status === 401) headers["WWW-Authenticate"] = asked.headers.get("WWW-Authenticate");
    response.writeHead(asked.status, headers);
    response.end(JSON.stringify(asked.ok ? { customer: answer.email, ...JSON.parse(body) } : {}));
  });
}

/** A browser in front of an application with Auth.js. */
class AuthJs {
  #cookies = new Map();

  constructor(config) {
    this.config = { basePath: "/auth", logger: { error: () => undefined }, ...config };
  }

  async logIn(username, password) {
    await this.#post("callback/credentials", { username, password });
  }

  async logOut() {
    await this.#post("signout", {});
  }

  async session() {
    return (await this.#send("session")).json();
  }

  async #post(path, fields) {
    const { csrfToken } = await (await this.#send("csrf")).json();
    return this.#send(path, {
      method: "POST",
      body: new URLSearchParams({ ...fields, csrfToken }),
    });
  }

  async #send(path, init) {
    const headers = {
      Cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; "),
    };
    const answer = await Auth(
      new Request(`http://127.0.0.1/auth/${path}`, { ...init, headers }),
      this.config,
    );
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      if (value) this.#cookies.set(name, value);
      else this.#cookies.delete(name);
    }
    return answer;
  }
}
