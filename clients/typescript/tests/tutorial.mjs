// Does in Chromium what docs/tutorials/single-page-app.md says under "Try it". .ci/tutorial.py runs it
// while the page and Hallpass are served.
import assert from "node:assert/strict";
import { launchChromium } from "./support/chromium.mjs";

const APP = "http://localhost:5173";
const MAILS = "http://127.0.0.1:8000/dev/mails";
const EMAIL = "ada@example.com";
const PASSWORD = "engines weave algebra";

const browser = await launchChromium();
try {
  const context = await browser.newContext();
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  // Open before there is a mail, and never reloaded.
  const mails = await context.newPage();
  await mails.goto(MAILS);
  assert.equal(await mails.locator("article").count(), 0);
  await page.goto(APP);
  await page.fill("#register [name=email]", EMAIL);
  await page.fill("#register [name=password]", "password");
  await page.click("#register button");
  await page.getByText("password: ").waitFor();
  await page.fill("#register [name=password]", PASSWORD);
  await page.click("#register button");
  await page.getByText("A code is on its way").waitFor();

  const code = await mails.locator("article .code").first().innerText();
  assert.match(code, /^\d{6}$/);
  await mails.locator("summary", { hasText: "HTML" }).first().click();
  await mails.frameLocator("article iframe").first().getByText(code).waitFor();

  await page.fill("#verify [name=code]", code);
  await page.click("#verify button");
  await page.getByText(`Logged in as ${EMAIL}`).waitFor();
  assert.equal(await page.evaluate(() => document.cookie), "");
  await page.reload();
  await page.getByText(`Logged in as ${EMAIL}`).waitFor();

  const second = await context.newPage();
  await second.goto(APP);
  await second.getByText(`Logged in as ${EMAIL}`).waitFor();
  await second.click("#logout");
  await page.locator("#login").waitFor();

  await page.fill("#login [name=username]", EMAIL);
  await page.fill("#login [name=password]", PASSWORD);
  await page.click("#login button");
  await page.getByText(`Logged in as ${EMAIL}`).waitFor();

  await page.goto("http://127.0.0.1:8000/");
  await page.getByRole("link", { name: "Mails" }).click();
  await page.locator("article").first().waitFor();
  console.log("the tutorial's page works in Chromium");
} finally {
  await browser.close();
}
