/** A running Hallpass, the app built for it and served from another origin, strangers, and a browser. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { launchChromium } from "../../../../clients/typescript/tests/support/chromium.mjs";
import { freePort } from "../../../../clients/typescript/tests/support/listen.mjs";
import { Mailbox } from "./mailbox.mjs";
import { pageServer } from "../../../../clients/typescript/tests/support/pages.mjs";
import { startHallpass } from "../../../../clients/typescript/tests/support/service.mjs";
import { Wire } from "../../../../clients/typescript/tests/support/wire.mjs";

const APP = fileURLToPath(new URL("../..", import.meta.url));
export const PASSWORD = "engines weave algebra";

/** Tests run on each: SQLite, and Postgres where `DATABASE_URL` names one. */
export const databases = [{ name: "SQLite", settings: {} }];
if (process.env.DATABASE_URL) {
  databases.push({ name: "Postgres", settings: { DATABASE_URL: process.env.DATABASE_URL } });
}

export class World {
  /** What is to be undone, the newest first. */
  #undo = [];

  /** `settings` of Hallpass, or what makes them of the world; `args` of the browser. */
  static async start(settings, args = []) {
    const world = new World();
    try {
      await world.#start(settings, args);
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  async stop() {
    for (const undo of this.#undo.reverse()) await undo();
  }

  async #start(settings, args) {
    const folder = await mkdtemp(join(tmpdir(), "hallpass-spa-"));
    this.#undo.push(() => rm(folder, { recursive: true, force: true }));
    const port = await freePort();
    this.wire = await Wire.open(port);
    this.#undo.push(() => this.wire.close());

    const dist = join(folder, "dist");
    process.env.VITE_HALLPASS_URL = this.wire.url;
    await build({ root: APP, logLevel: "error", build: { outDir: dist, emptyOutDir: true } });
    this.app = (await this.#serve(dist)).origin;
    const stranger = new URL((await this.#serve()).origin);
    /** Another port of the same host is another origin, but the same site: cookies are sent. */
    this.sameSiteStranger = stranger.origin;
    this.otherSiteStranger = `http://localhost:${stranger.port}`;

    const data = join(folder, "data");
    this.mailbox = new Mailbox(join(data, "mail"));
    const stop = await startHallpass(port, data, {
      HALLPASS_PUBLIC_URL: this.wire.url,
      HALLPASS_CORS_ORIGINS: this.app,
      HALLPASS_VERIFY_EMAIL_URL: `${this.app}/#/verify/{token}`,
      HALLPASS_PASSWORD_RESET_URL: `${this.app}/#/reset/{token}`,
      HALLPASS_NOT_ME_URL: `${this.app}/#/not-me/{token}`,
      ...(typeof settings === "function" ? await settings(this) : settings),
    });
    this.#undo.push(stop);
    this.browser = await launchChromium(args);
    this.#undo.push(() => this.browser.close());
  }

  /** Does `work` when the world ends. */
  undo(work) {
    this.#undo.push(work);
  }

  async #serve(folder) {
    const server = await pageServer(folder);
    this.#undo.push(() => server.close());
    return server;
  }

  /** A browser with its own cookies. It is closed when the test `t` ends. */
  async person(t) {
    const context = await this.browser.newContext({ locale: "en-US" });
    context.setDefaultTimeout(15_000);
    t.after(() => context.close());
    return new Person(this, context);
  }

  /** The same, with an account, logged in in one tab. */
  async member(t) {
    const person = await this.person(t);
    await person.register();
    await person.verifyWithCode();
    return person;
  }
}

let people = 0;

/** A user with a browser. `page` is the current tab. */
export class Person {
  constructor(world, context) {
    Object.assign(this, { world, context, password: PASSWORD });
    this.email = `person${process.pid}-${++people}@example.com`;
  }

  async open(path = "/") {
    this.page = await this.context.newPage();
    await this.page.goto(`${this.world.app}/#${path}`);
    return this.page;
  }

  async follow(page) {
    this.page = await this.context.newPage();
    await this.page.goto(await this.world.mailbox.link(this.email, page));
  }

  fill(label, text) {
    return this.page.getByLabel(label, { exact: true }).fill(text);
  }

  press(button) {
    return this.page.getByRole("button", { name: button, exact: true }).click();
  }

  go(link) {
    return this.page.getByRole("link", { name: link, exact: true }).click();
  }

  sees(heading, page = this.page, timeout) {
    return page.getByRole("heading", { name: heading, exact: true }).waitFor({ timeout });
  }

  reads(text) {
    return this.page.getByText(text).waitFor();
  }

  async fillRegistration() {
    await this.open("/register");
    await this.fill("Email address", this.email);
    await this.fill("Password", this.password);
    await this.press("Register");
  }

  async register() {
    await this.fillRegistration();
    await this.sees("Verify your email address");
  }

  async verifyWithCode() {
    await this.fill("Code", await this.world.mailbox.code(this.email));
    await this.press("Verify");
    await this.sees("Profile");
  }

  async logIn() {
    await this.open("/login");
    await this.fill("Email address or user name", this.email);
    await this.fill("Password", this.password);
    await this.press("Log in");
    await this.sees("Profile");
  }
}
