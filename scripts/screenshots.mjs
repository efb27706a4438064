#!/usr/bin/env node
/**
 * Takes the screenshots of docs/images with headless Chromium, as WebP:
 *
 *     scripts/screenshots.mjs HALLPASS [FOLDER]
 *
 * Needs `npm ci` in clients/typescript, and Chromium (Debian: `apt-get install chromium`). FOLDER is
 * docs/images if it is not given. Codes and tokens in the pictures are of a service that is gone.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

if (!process.argv[2]) {
  console.error("usage: scripts/screenshots.mjs HALLPASS [FOLDER]");
  process.exit(2);
}
process.env.HALLPASS_BIN = resolve(process.argv[2]);
const images = resolve(process.argv[3] ?? fileURLToPath(new URL("../docs/images", import.meta.url)));
const support = "../clients/typescript/tests/support/";
const { launchChromium } = await import(`${support}chromium.mjs`);
const { freePort } = await import(`${support}listen.mjs`);
const { startHallpass } = await import(`${support}service.mjs`);

/** Wider pictures are hard to read on a page of documentation. */
const WIDTH = 760;
const MAIL = { width: WIDTH, height: 700 };
const PAGE = { width: WIDTH, height: 400 };
const EMAIL = "ada@example.com";
const PASSWORD = "engines weave algebra";

const folder = mkdtempSync(join(tmpdir(), "hallpass-screenshots-"));
const data = join(folder, "data");
mkdirSync(data);
mkdirSync(images, { recursive: true });
const port = await freePort();
const stop = await startHallpass(port, data, {});
const browser = await launchChromium();
const service = `http://127.0.0.1:${port}`;
try {
  const context = await browser.newContext({ viewport: MAIL, deviceScaleFactor: 1.5, locale: "en" });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  const first = await mailOf("/v1/register", { email: EMAIL, password: PASSWORD });
  const { registration_token } = first.answer;

  await page.goto(service);
  await shoot("start-page", page);
  await page.goto(`${service}/dev/mails`);
  await page.locator("article .code").first().waitFor();
  await shoot("dev-mails", page);
  await page.setContent(first.mail.html);
  await shoot("mail-verification", page);
  await page.setViewportSize(PAGE);
  await page.goto(linkTo("verify-email", first.mail));
  await shoot("page-verify-email", page);

  await post("/v1/verify-email", { registration_token, code: first.mail.code });
  const reset = await mailOf("/v1/password-reset", { email: EMAIL }, first.mail.id);
  await page.setViewportSize(MAIL);
  await page.setContent(reset.mail.html);
  await shoot("mail-password-reset", page);
  await page.setViewportSize(PAGE);
  await page.goto(linkTo("password-reset", reset.mail));
  await shoot("page-password-reset", page);

  await page.setViewportSize({ width: 1000, height: 720 });
  await page.goto(`${service}/docs/`);
  await page.getByText("/v1/register", { exact: true }).click();
  await page.getByRole("button", { name: "Try it out" }).waitFor();
  await page.evaluate(() => document.querySelector(".opblock.is-open").scrollIntoView());
  await shoot("swagger-ui", page);
} finally {
  await browser.close();
  await stop();
  rmSync(folder, { recursive: true, force: true });
}

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(service + path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
  return answer.json();
}

/** The answer of a request, and the mail that it causes after the mail `after`. */
async function mailOf(path, body, after = "") {
  const answer = await post(path, body);
  const found = await fetch(`${service}/dev/mails?${new URLSearchParams({ to: EMAIL, wait: "10s", ...(after && { after }) })}`);
  const [mail] = (await found.json()).mails;
  return { answer, mail };
}

function linkTo(path, mail) {
  const link = mail.links.find((it) => it.includes(`/${path}?`));
  if (!link) throw new Error(`no link to ${path} in ${mail.links}`);
  const { pathname, search } = new URL(link);
  return service + pathname + search;
}

/** Chromium writes PNG, which is four times as large; a canvas of it writes WebP. */
async function shoot(name, page) {
  const height = await page.evaluate(() => Math.ceil(document.body.getBoundingClientRect().bottom + 16));
  const { width, height: most } = page.viewportSize();
  const clip = { x: 0, y: 0, width, height: Math.max(160, Math.min(height, most)) };
  const png = (await page.screenshot({ clip })).toString("base64");
  const canvas = await page.context().newPage();
  const webp = await canvas.evaluate(async (png) => {
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL("image/webp", 0.8).split(",")[1];
  }, png);
  await canvas.close();
  const bytes = Buffer.from(webp, "base64");
  writeFileSync(join(images, `${name}.webp`), bytes);
  console.log(`${name}.webp: ${bytes.length} bytes`);
}
