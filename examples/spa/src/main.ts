/** Chooses the page by the URL and by whether a user is logged in. */
import { explanation, find, go, notice, onArrival } from "./dom";
import { Hallpass } from "./hallpass";
import * as pages from "./pages";

/** Pages for logged-in users, and for others. */
const account: Record<string, pages.Page> = {
  profile: pages.profile,
  sessions: pages.sessions,
  password: pages.password,
};
const entrance: Record<string, pages.Page> = {
  login: pages.login,
  register: pages.register,
  verify: pages.verify,
  reset: pages.reset,
};
/** Pages that links of mails lead to, logged in or not: `#/verify/TOKEN`. */
const links: Record<string, pages.Page> = {
  verify: pages.verifyLink,
  reset: pages.resetLink,
  "not-me": pages.notMe,
};

/** `undefined` until known. */
let loggedIn: boolean | undefined;
let showing = 0;

const hallpass = new Hallpass(import.meta.env.VITE_HALLPASS_URL, (now) => {
  loggedIn = now;
  const { name, token } = address();
  if (now && !token && name in entrance) go("/profile");
  else void show();
});

function address(): { name: string; token: string } {
  const [name = "", token = ""] = location.hash.replace(/^#\//, "").split("/");
  return { name, token };
}

function choose(): { page: pages.Page; token: string } {
  const { name, token } = address();
  const link = token ? links[name] : undefined;
  if (link) return { page: link, token };
  if (loggedIn === undefined) return { page: pages.unreachable, token: "" };
  const page = loggedIn ? (account[name] ?? pages.profile) : (entrance[name] ?? pages.login);
  return { page, token: "" };
}

async function show(): Promise<void> {
  const turn = ++showing;
  find("#nav-in").hidden = loggedIn !== true;
  find("#nav-out").hidden = loggedIn !== false;
  const { page, token } = choose();
  try {
    const content = await page(hallpass, token);
    // The user may have navigated, or have been logged out, while the page was loading.
    if (turn !== showing) return;
    find("#page").replaceChildren(content);
    find("#page").focus();
  } catch (error) {
    if (turn === showing) notice(explanation(error));
  }
}

onArrival(() => void show());

find("#log-out").addEventListener("click", () => {
  notice("");
  hallpass.logOut().catch((error: unknown) => notice(`You are still logged in. ${explanation(error)}`));
});

hallpass.refresh().catch(() => show());
