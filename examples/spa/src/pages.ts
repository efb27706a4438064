/** One function per page: fills a copy of its template and handles its form. */
import { complain, find, go, instance, notice, onSubmit } from "./dom";
import { Refusal, type Hallpass, type Session } from "./hallpass";

/** `token` is the one of the mail's link, on pages that a link leads to. */
export type Page = (hallpass: Hallpass, token: string) => DocumentFragment | Promise<DocumentFragment>;

type Work = (hallpass: Hallpass, fields: Record<string, string>, token: string) => Promise<unknown>;

/** A page that consists of a form. */
const formPage =
  (template: string, work: Work): Page =>
  (hallpass, token) => {
    const page = instance(template);
    onSubmit(find("form", page), (fields) => work(hallpass, fields, token));
    return page;
  };

export const unreachable = formPage("unreachable", (hallpass) => hallpass.refresh());

export const login = formPage("login", (hallpass, { username = "", password = "" }) =>
  hallpass.logIn(username, password),
);

export const register = formPage("register", async (hallpass, { email = "", password = "", username }) => {
  const locale = navigator.language;
  const loggedIn = await hallpass.register({ email, password, locale, ...(username && { username }) });
  if (!loggedIn) go("/verify");
});

export const verify = formPage("verify", (hallpass, { code = "" }) => hallpass.verifyWithCode(code));

/** Waits for the button, because mail scanners open links too. */
export const verifyLink: Page = (hallpass, token) => {
  const page = instance("verify-link");
  const form = find<HTMLFormElement>("form", page);
  const label = find<HTMLLabelElement>("label", form);
  onSubmit(form, async ({ password }) => {
    try {
      await hallpass.verifyWithLink(token, password);
      go("/profile", "Your email address is verified.");
    } catch (error) {
      if (!(error instanceof Refusal && error.code === "proof_required")) throw error;
      // Another browser than the one that registered: the password is required.
      label.hidden = false;
      find("input", label).focus();
      notice("Please enter the password you registered with.");
    }
  });
  return page;
};

export const profile: Page = async (hallpass) => {
  const person = await hallpass.profile();
  const page = instance("profile", person);
  find<HTMLInputElement>("[name=username]", page).value = person.username;
  find<HTMLInputElement>("[name=locale]", page).value = person.locale;
  onSubmit(find("form", page), async ({ username = "", locale = "" }) => {
    // Sends changed fields only: another tab may have changed the other one.
    const change = {
      ...(username !== person.username && { username }),
      ...(locale !== person.locale && { locale }),
    };
    Object.assign(person, await hallpass.changeProfile(change));
    notice("Saved.");
  });
  return page;
};

export const sessions: Page = async (hallpass) => {
  const page = instance("sessions");
  const rows = find("tbody", page);
  const form = find<HTMLFormElement>("form", page);
  const show = async () => {
    const list = await hallpass.sessions();
    rows.replaceChildren(...list.map((session) => sessionRow(session, end)));
  };
  const end = async (id: string) => {
    try {
      await hallpass.endSession(id);
      await show();
    } catch (error) {
      complain(form, error);
    }
  };
  onSubmit(form, async () => {
    await hallpass.endOtherSessions();
    await show();
  });
  await show();
  return page;
};

function sessionRow(session: Session, end: (id: string) => Promise<void>): DocumentFragment {
  const row = instance("session", session);
  const last = find("td:last-child", row);
  if (session.current) {
    last.textContent = "this one";
    return row;
  }
  const button = document.createElement("button");
  button.textContent = "End";
  button.setAttribute("aria-label", `End the session on ${session.device}`);
  button.addEventListener("click", () => void end(session.id));
  last.append(button);
  return row;
}

export const password = formPage("password", async (hallpass, { current_password = "", new_password = "" }) => {
  await hallpass.changePassword(current_password, new_password);
  go("/profile", "The password is changed. Your other sessions are ended.");
});

export const reset = formPage("reset", async (hallpass, { email = "" }) => {
  await hallpass.askForPasswordReset(email);
  notice("If there is an account with this address, a mail is on its way.");
});

export const resetLink = formPage("reset-link", async (hallpass, { new_password = "" }, token) => {
  await hallpass.resetPassword(token, new_password);
  go("/login", "The password is set. Log in with it.");
});

export const notMe = formPage("not-me", async (hallpass, _fields, token) => {
  await hallpass.notMe(token);
  go("/reset", "All sessions are ended. Choose a new password.");
});
