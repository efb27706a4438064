/** Log-in at other services: the way to a provider, and back. */
import { type components, HallpassError, unwrap } from "hallpass-client";
import { hallpass, keepRegistration } from "./account";

type Provider = Pick<components["schemas"]["SocialProvider"], "id" | "display_name">;
type Identity = components["schemas"]["Identity"];

/** Where sessionStorage, which is of this tab, has the flow. */
const FLOW = "hallpass.flow";

interface Flow {
  provider: string;
  flow_token: string;
  /** Whether it links an identity to the account of the user who is logged in. */
  links: boolean;
  /** What the provider answered, once it has. */
  response?: { code: string; state: string; iss?: string };
}

export async function providers(): Promise<Provider[]> {
  return (await unwrap(hallpass.api.GET("/v1/social/providers"))).providers;
}

export async function identities(): Promise<Identity[]> {
  return (await unwrap(hallpass.api.GET("/v1/me/identities"))).identities;
}

export async function unlink(id: string): Promise<void> {
  await unwrap(hallpass.api.DELETE("/v1/me/identities/{id}", { params: { path: { id } } }));
}

/** Leaves the page. While logged in, the identity is linked to the account. */
export async function goTo(provider: string): Promise<void> {
  const links = Boolean(hallpass.session);
  const body = { return_to: `${location.origin}/`, use_cookie: true };
  const started = await unwrap(
    hallpass.api.POST("/v1/social/{provider}/start", { params: { path: { provider } }, body }),
  );
  keep({ provider, flow_token: started.flow_token, links });
  location.assign(started.authorization_url);
}

export type Return = "logged-in" | "verify" | "linked" | "refused";

/** Finishes the flow that the page came back from; `undefined` if it came from elsewhere. */
export async function comeBack(): Promise<Return | undefined> {
  const flow = takeResponse();
  if (!flow) return undefined;
  if (!flow.response) return "refused";
  try {
    const outcome = await finish(flow, flow.response);
    sessionStorage.removeItem(FLOW);
    return outcome;
  } catch (error) {
    // The same request may succeed later.
    const isOver = error instanceof HallpassError && error.status !== 0 && error.status !== 503;
    if (isOver) sessionStorage.removeItem(FLOW);
    throw error;
  }
}

/**
 * Moves the response of the provider from the URL to the stored flow: a reload sends the same request
 * again, which has the same result, and nothing of it is left in the history.
 */
function takeResponse(): Flow | undefined {
  const stored = sessionStorage.getItem(FLOW);
  if (!stored) return undefined;
  const flow = JSON.parse(stored) as Flow;
  const query = new URLSearchParams(location.search);
  const [state, code, iss] = ["state", "code", "iss"].map((name) => query.get(name));
  // A page that was opened or gone back to while the flow is at the provider.
  if (!state) return flow.response && flow;
  history.replaceState(null, "", `${location.pathname}${location.hash}`);
  if (!code) {
    sessionStorage.removeItem(FLOW);
    return flow;
  }
  flow.response = { code, state, ...(iss && { iss }) };
  keep(flow);
  return flow;
}

function keep(flow: Flow): void {
  sessionStorage.setItem(FLOW, JSON.stringify(flow));
}

async function finish(flow: Flow, response: NonNullable<Flow["response"]>): Promise<Return> {
  const { provider, flow_token, links } = flow;
  const body = { flow_token, ...response };
  // The answer sets the cookie with the refresh token.
  const request = { params: { path: { provider } }, body, credentials: "include" as const };
  await hallpass.start();
  if (links) {
    await unwrap(hallpass.api.POST("/v1/social/{provider}/finish", request));
    return "linked";
  }
  // Perhaps another tab has logged in meanwhile: this log-in takes the place of that one.
  const answer = await hallpass.enter((service) => service.POST("/v1/social/{provider}/finish", request));
  keepRegistration(answer.registration_token);
  return answer.access_token === undefined ? "verify" : "logged-in";
}
