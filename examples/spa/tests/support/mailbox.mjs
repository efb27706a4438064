/** The mail that Hallpass wrote as files. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const PATIENCE = 15_000;

export class Mailbox {
  constructor(folder) {
    this.folder = folder;
  }

  /** The first group of `pattern` in the newest mail to `address` that has it. */
  async find(address, pattern) {
    for (const deadline = Date.now() + PATIENCE; Date.now() < deadline; await sleep(50)) {
      for (const mail of (await this.mails(address)).reverse()) {
        const [, found] = pattern.exec(mail) ?? [];
        if (found) return found;
      }
    }
    throw new Error(`no mail to ${address} with ${pattern}`);
  }

  code(address) {
    return this.find(address, /^(\d{6})\r?$/m);
  }

  /** The link that leads to this page of the app. */
  link(address, page) {
    return this.find(address, new RegExp(`^(http://\\S+#/${page}/\\S+?)\\r?$`, "m"));
  }

  async mails(address) {
    const names = await readdir(this.folder).catch(() => []);
    const files = names.filter((name) => name.endsWith(".eml")).sort();
    const mails = await Promise.all(files.map((name) => readFile(join(this.folder, name), "utf8")));
    return mails.filter((mail) => new RegExp(`^To: .*${address}`, "m").test(mail));
  }
}
