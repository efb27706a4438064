/** Log-in at other services: the way to a provider, and back. */
import { type components, unwrap } from "hallpass-client";
import { hallpass, keepRegistration } from "./account";

type Provider = Pick<components["schemas"]["SocialProvider"], "id" | "display_name">;

/** Where sessionStorage, which is of this tab, has the provider and the token of the flow. */
const FLOW = "hallpass.flow";

export async function providers(): Promise<Provider[]> {
  return (await unwrap(hallpass.api.GET("/v1/social/providers"))).providers;
}

/** Leaves the page. While logged in, the identity is linked to the account. */
export async function goTo(provider: string): Promise<void> {
  const body = { return_to: `${location.origin}/`, use_cookie: true };
  const started = await unwrap(
    hallpass.api.POST("/v1/social/{provider}/start", { params: { path: { provider } }, body }),
  );
  sessionStorage.setItem(FLOW, JSON.stringify({ provider, flow_token: started.flow_token }));
  location.assign(started.authorization_url);
}

export type Return = "logged-in" | "verify" | "linked" | "refused";

/** Finishes the flow that the page came back from; `undefined` if it came from elsewhere. */
export async function comeBack(): Promise<Return | undefined> {
  const query = new URLSearchParams(location.search);
  const stored = sessionStorage.getItem(FLOW);
  const state = query.get("state");
  if (!stored || !state) return undefined;
  // Neither a reload nor the history may send the code again.
  sessionStorage.removeItem(FLOW);
  history.replaceState(null, "", `${location.pathname}${location.hash}`);
  const code = query.get("code");
  if (!code) return "refused";
  const { provider, flow_token } = JSON.parse(stored) as { provider: string; flow_token: string };
  const iss = query.get("iss");
  const body = { flow_token, code, state, ...(iss && { iss }) };
  // The answer sets the cookie with the refresh token.
  const finish = { params: { path: { provider } }, body, credentials: "include" as const };
  await hallpass.start();
  if (hallpass.session) {
    // Only a flow that was started while logged in gets here, so it links an identity.
    const linked = await unwrap(hallpass.api.POST("/v1/social/{provider}/finish", finish));
    return linked.status === "linked" ? "linked" : "refused";
  }
  const answer = await hallpass.enter((service) => service.POST("/v1/social/{provider}/finish", finish));
  keepRegistration(answer.registration_token);
  return answer.access_token === undefined ? "verify" : "logged-in";
}
