/** Chooses the page by the URL and by whether a user is logged in. */
import { hallpass } from "./account";
import { explanation, find, go, notice, onArrival } from "./dom";
import * as pages from "./pages";
import { comeBack } from "./social";

/** For people who are logged in, and for the others. */
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
/** Where the links of mails lead, logged in or not: `#/verify/TOKEN`. */
const links: Record<string, pages.Page> = {
  verify: pages.verifyLink,
  reset: pages.resetLink,
  "not-me": pages.notMe,
};

let showing = 0;

// In this tab or another.
hallpass.onChange((session) => {
  const { name, token } = address();
  if (session && !token && name in entrance) go("/profile");
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
  if (hallpass.session === undefined) return { page: pages.unreachable, token: "" };
  const page = hallpass.session ? (account[name] ?? pages.profile) : (entrance[name] ?? pages.login);
  return { page, token: "" };
}

async function show(): Promise<void> {
  const turn = ++showing;
  find("#nav-in").hidden = !hallpass.session;
  find("#nav-out").hidden = hallpass.session !== null;
  const { page, token } = choose();
  try {
    const content = await page(token);
    // The person may have gone on, or have been logged out, while the page was fetched.
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

/** What follows a flow that came back from a provider. */
async function finishFlow(): Promise<void> {
  try {
    const outcome = await comeBack();
    if (outcome === "verify") go("/verify");
    if (outcome === "linked") go("/profile", "The account is linked.");
    if (outcome === "refused") notice("The log-in was cancelled or refused.");
  } catch (error) {
    notice(explanation(error));
  }
}

const start = () => hallpass.start().catch(() => show());
// Where the app was opened without a network, it goes on as soon as there is one.
window.addEventListener("online", () => void start());
void finishFlow().finally(start);
