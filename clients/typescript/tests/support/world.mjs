/** A running Hallpass whose clock the tests move, with a reverse proxy in front of it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./listen.mjs";
import { Clock, ready, startHallpass } from "./service.mjs";
import { Wire } from "./wire.mjs";

export const PASSWORD = "engines weave algebra";

let users = 0;

export class World {
  /** What is to be undone, the newest first. */
  undo = [];

  /** `prepare` may start servers in the world's folder, and returns settings. */
  static async start(prepare = async () => ({})) {
    const world = new World();
    try {
      world.folder = await mkdtemp(join(tmpdir(), "hallpass-client-"));
      world.undo.push(() => rm(world.folder, { recursive: true, force: true }));
      const port = await freePort();
      world.port = port;
      world.wire = await Wire.open(port);
      world.undo.push(() => world.wire.close());
      world.url = world.wire.url;
      world.clock = new Clock(world.folder);
      const stop = await startHallpass(port, join(world.folder, "data"), {
        HALLPASS_PUBLIC_URL: world.url,
        HALLPASS_EMAIL_VERIFICATION: "none",
        // A jump of the clock is worth a warning elsewhere.
        HALLPASS_LOG: "error",
        ...world.clock.settings,
        ...(await prepare(world)),
      });
      world.undo.push(stop);
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  async stop() {
    for (const undo of this.undo.reverse()) await undo();
  }

  /** Moves the service's clock. The service is unavailable until it has read the revocations. */
  async advance(seconds) {
    this.clock.advance(seconds);
    await ready(this.port);
  }

  /** Makes an account; what to log in with. */
  async user() {
    const email = `user${process.pid}-${++users}@example.com`;
    const answer = await fetch(`${this.url}/v1/register`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ email, password: PASSWORD }),
    });
    if (answer.status !== 201) throw new Error(await answer.text());
    return { username: email, password: PASSWORD };
  }

  /** What the service answered since `mark` to POSTs of this path. */
  posts(mark, path) {
    return this.wire.since(mark, path).filter(({ method }) => method === "POST");
  }

  get mark() {
    return this.wire.exchanges.length;
  }
}
