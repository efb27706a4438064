/** One function a page: it fills a copy of its template and says what its form does. */
import { type components, HallpassError, unwrap } from "hallpass-client";
import { hallpass, register as registerUser, verifyWithCode, verifyWithLink } from "./account";
import { complain, find, go, instance, notice, onSubmit } from "./dom";
import * as social from "./social";

/** `token` is that of the mail's link, where a link leads to the page. */
export type Page = (token: string) => DocumentFragment | Promise<DocumentFragment>;

type Work = (fields: Record<string, string>, token: string) => Promise<unknown>;

/** A page that is no more than a form. */
const formPage =
  (template: string, work: Work): Page =>
  (token) => {
    const page = instance(template);
    onSubmit(find("form", page), (fields) => work(fields, token));
    return page;
  };

export const unreachable = formPage("unreachable", () => hallpass.start());

export const login: Page = async () => {
  const page = instance("login");
  const form = find<HTMLFormElement>("form", page);
  onSubmit(form, ({ username = "", password = "" }) => hallpass.logIn({ username, password }));
  await addProviders(page, form, "Log in with");
  return page;
};

/** A button for each service that the user can log in at. The form works without them. */
async function addProviders(page: ParentNode, form: HTMLFormElement, label: string): Promise<void> {
  const list = await social.providers().catch(() => []);
  const buttons = list.map((provider) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${label} ${provider.display_name}`;
    button.addEventListener("click", () => social.goTo(provider.id).catch((error: unknown) => complain(form, error)));
    return button;
  });
  find(".providers", page).replaceChildren(...buttons);
}

export const register = formPage("register", async ({ email = "", password = "", username }) => {
  const locale = navigator.language;
  const loggedIn = await registerUser({ email, password, locale, ...(username && { username }) });
  if (!loggedIn) go("/verify");
});

export const verify = formPage("verify", ({ code = "" }) => verifyWithCode(code));

/** It waits for the button: programs that look into mails open links too. */
export const verifyLink: Page = (token) => {
  const page = instance("verify-link");
  const form = find<HTMLFormElement>("form", page);
  const label = find<HTMLLabelElement>("label", form);
  onSubmit(form, async ({ password }) => {
    try {
      await verifyWithLink(token, password);
      go("/profile", "Your email address is verified.");
    } catch (error) {
      if (!(error instanceof HallpassError && error.code === "proof_required")) throw error;
      // Not the browser that registered: the user who opened the mail has to know the password.
      label.hidden = false;
      find("input", label).focus();
      notice("Please enter the password you registered with.");
    }
  });
  return page;
};

export const profile: Page = async () => {
  const person = await unwrap(hallpass.api.GET("/v1/me"));
  const page = instance("profile", person);
  find<HTMLInputElement>("[name=username]", page).value = person.username;
  find<HTMLInputElement>("[name=locale]", page).value = person.locale;
  onSubmit(find("form", page), async ({ username = "", locale = "" }) => {
    // Only what was changed here: the other field may have been changed in another tab.
    const change = {
      ...(username !== person.username && { username }),
      ...(locale !== person.locale && { locale }),
    };
    Object.assign(person, await unwrap(hallpass.api.PATCH("/v1/me", { body: change })));
    notice("Saved.");
  });
  await addProviders(page, find<HTMLFormElement>("form", page), "Link");
  await addIdentities(find("#identities", page), find<HTMLFormElement>("form", page));
  return page;
};

/** A line for each identity at another service, with a button that unlinks it. */
async function addIdentities(list: HTMLElement, form: HTMLFormElement): Promise<void> {
  const show = async () => list.replaceChildren(...(await social.identities()).map(identityLine));
  const identityLine = (identity: Awaited<ReturnType<typeof social.identities>>[number]) => {
    const line = instance("identity", identity);
    const button = find<HTMLButtonElement>("button", line);
    button.setAttribute("aria-label", `Unlink ${identity.email ?? identity.subject} at ${identity.provider}`);
    button.addEventListener("click", () => unlink(identity.id));
    return line;
  };
  const unlink = async (id: string) => {
    try {
      await social.unlink(id);
      await show();
      notice("The account is not linked any more.");
    } catch (error) {
      complain(form, error);
    }
  };
  await show();
}

export const sessions: Page = async () => {
  const page = instance("sessions");
  const rows = find("tbody", page);
  const form = find<HTMLFormElement>("form", page);
  const show = async () => {
    const { sessions: list } = await unwrap(hallpass.api.GET("/v1/me/sessions"));
    rows.replaceChildren(...list.map((session) => sessionRow(session, end)));
  };
  const end = async (id: string) => {
    try {
      await unwrap(hallpass.api.DELETE("/v1/me/sessions/{id}", { params: { path: { id } } }));
      await show();
    } catch (error) {
      complain(form, error);
    }
  };
  onSubmit(form, async () => {
    await unwrap(hallpass.api.DELETE("/v1/me/sessions"));
    await show();
  });
  await show();
  return page;
};

function sessionRow(session: components["schemas"]["Session"], end: (id: string) => Promise<void>): DocumentFragment {
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

export const password = formPage("password", async ({ current_password = "", new_password = "" }) => {
  await unwrap(hallpass.api.POST("/v1/password-change", { body: { current_password, new_password } }));
  go("/profile", "The password is changed. Your other sessions are ended.");
});

export const reset = formPage("reset", async ({ email = "" }) => {
  await unwrap(hallpass.api.POST("/v1/password-reset", { body: { email } }));
  notice("If there is an account with this address, a mail is on its way.");
});

export const resetLink = formPage("reset-link", async ({ new_password = "" }, token) => {
  await unwrap(hallpass.api.POST("/v1/password-reset/confirm", { body: { token, new_password } }));
  await endHereToo();
  go("/login", "The password is set. Log in with it.");
});

export const notMe = formPage("not-me", async (_fields, token) => {
  await unwrap(hallpass.api.POST("/v1/not-me", { body: { token } }));
  await endHereToo();
  go("/reset", "All sessions are ended. Choose a new password.");
});

/** The link ended every session of its user: perhaps this one too. */
async function endHereToo(): Promise<void> {
  if (hallpass.session) await hallpass.refresh();
}
