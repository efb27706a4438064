/** The app's one client, and the steps around the mail that verifies an e-mail address. */
import { type components, Hallpass } from "hallpass-client";

export const hallpass = new Hallpass({ url: import.meta.env.VITE_HALLPASS_URL });

/**
 * Where localStorage has the registration token: the mail's link opens a new tab, so it is not for
 * sessionStorage. It is worth nothing without the code or the link.
 */
const REGISTRATION = "hallpass.registration";

/** Returns whether the user is logged in now; mostly not, as the address has to be verified first. */
export async function register(user: components["schemas"]["RegisterRequest"]): Promise<boolean> {
  const answer = await hallpass.register(user);
  keepRegistration(answer.registration_token);
  return answer.access_token !== undefined;
}

/** Until the address is verified. A log-in at a provider can lead to a registration too. */
export function keepRegistration(token: string | undefined): void {
  if (token) localStorage.setItem(REGISTRATION, token);
}

/** With the six digits of the mail, in the browser that registered. */
export async function verifyWithCode(code: string): Promise<void> {
  await verify({ registration_token: localStorage.getItem(REGISTRATION) ?? "", code });
}

/** With the mail's link. `proof_required`: not the browser that registered, so ask for the password. */
export async function verifyWithLink(token: string, password?: string): Promise<void> {
  const registration_token = localStorage.getItem(REGISTRATION) ?? "";
  await verify(password ? { token, password } : { token, ...(registration_token && { registration_token }) });
}

async function verify(proof: Parameters<Hallpass["verifyEmail"]>[0]): Promise<void> {
  await hallpass.verifyEmail(proof);
  localStorage.removeItem(REGISTRATION);
}
