/** The program that is tested. */
import { execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const HALLPASS = resolve(
  process.env.HALLPASS_BIN ??
    fileURLToPath(new URL("../../../../target/debug/hallpass", import.meta.url)),
);

/** Starts Hallpass with its data in `data`; returns a function that ends it. */
export async function startHallpass(port, data, settings) {
  const env = {
    ...Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(HALLPASS_|DATABASE_URL)/.test(name)),
    ),
    HALLPASS_BIND: `127.0.0.1:${port}`,
    HALLPASS_DATA_DIR: data,
    // The runs on Postgres share a database, and so must share the key of what is sealed in it.
    HALLPASS_SECRET: "only-for-tests-of-clients",
    HALLPASS_BCRYPT_COST: "4",
    HALLPASS_LIMITS: "off",
    HALLPASS_LOG: "warn",
    ...settings,
  };
  // Not the folder of the app, which has an `.env` of its own.
  const service = spawn(HALLPASS, [], {
    cwd: resolve(data, ".."),
    env,
    stdio: ["ignore", "inherit", "inherit"],
  });
  const ended = new Promise((done) => service.once("exit", done).once("error", done));
  const kill = () => service.kill("SIGKILL");
  process.once("exit", kill);
  const stop = async () => {
    service.kill("SIGTERM");
    await ended;
    process.off("exit", kill);
  };
  const dead = ended.then((why) => {
    throw new Error(`${HALLPASS} ended: ${why}`);
  });
  dead.catch(() => undefined);
  try {
    await Promise.race([dead, ready(port)]);
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}

/** Waits until the service checks tokens: after a start, or a jump of its clock. */
export async function ready(port) {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(50)) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
    if (answer?.ok) return;
  }
  throw new Error("Hallpass is not ready after 30 s");
}

/** A clock for Hallpass that the test moves. `settings` are for `startHallpass`. */
export class Clock {
  #ahead = 0;

  constructor(folder) {
    this.file = join(folder, "faketime");
    this.#write();
    const library = execFileSync("faketime", ["-f", "+0", "printenv", "LD_PRELOAD"], {
      encoding: "utf8",
    }).trim();
    this.settings = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    };
  }

  advance(seconds) {
    this.#ahead += seconds;
    this.#write();
  }

  #write() {
    writeFileSync(this.file, `+${this.#ahead}\n`);
  }
}
