/**
 * Client of Hallpass for a page on another origin.
 *
 * - The refresh token is in a cookie that scripts cannot read. The access token is in memory only,
 *   so a page that was just loaded has none: it refreshes with the cookie.
 * - Only a 401 of Hallpass logs the user out. Network and server errors do not: the user retries
 *   later and is still logged in.
 */
import type { components } from "./api";

type Schemas = components["schemas"];
export type Profile = Schemas["Profile"];
export type Session = Schemas["Session"];
export type Problem = Schemas["Problem"];
export type Registration = Schemas["RegisterRequest"];
export type ProfileChange = Schemas["UpdateMeRequest"];

/** Response of a log-in in cookie mode. */
type Pair = Schemas["TokenPair"];

/** Message to the other tabs. The session id makes late messages harmless. */
type News = { began: string } | { ended: string };

/** An error response. Switch on `code` (docs/errors.md). */
export class Refusal extends Error {
  readonly status: number;
  readonly problem: Problem | undefined;

  constructor(status: number, problem: Problem | undefined) {
    super(problem?.detail ?? `The service answered with status ${status}.`);
    this.status = status;
    this.problem = problem;
  }

  get code(): Problem["code"] | undefined {
    return this.problem?.code;
  }
}

/** Key of the registration token in localStorage. */
const REGISTRATION = "hallpass.registration";
/** Milliseconds. Without a time-out, a hanging request would block the other tabs. */
const PATIENCE = 10_000;

export class Hallpass {
  readonly #url: string;
  readonly #onChange: (loggedIn: boolean) => void;
  readonly #tabs = new BroadcastChannel("hallpass");
  #accessToken = "";
  /** `undefined` until the first response of Hallpass, `null` when logged out. */
  #session: string | null | undefined;
  #refreshing: Promise<void> | undefined;

  /** `onChange` is called for every log-in, log-out and change of user, in this tab or another. */
  constructor(url: string, onChange: (loggedIn: boolean) => void) {
    this.#url = url;
    this.#onChange = onChange;
    this.#tabs.onmessage = ({ data }: MessageEvent<News>) => {
      if ("ended" in data && data.ended === this.#session) this.#become(null);
      // A log-in in another tab, maybe of another user: the cookie belongs to that session now.
      if ("began" in data && data.began !== this.#session) this.refresh().catch(() => undefined);
    };
  }

  // --- registration, log-in, log-out ----------------------------------------------------------

  /** Returns whether the user is logged in now; usually not before the verification. */
  async register(person: Registration): Promise<boolean> {
    const answer = await this.#enter<Schemas["Registered"]>("/v1/register", person);
    // The mail's link opens a new tab, which cannot read sessionStorage. The token is useless
    // without the code or the link.
    if (answer.registration_token) localStorage.setItem(REGISTRATION, answer.registration_token);
    return answer.access_token !== undefined;
  }

  /** Verifies with the code of the mail, in the browser that registered. */
  async verifyWithCode(code: string): Promise<void> {
    const registration_token = localStorage.getItem(REGISTRATION) ?? "";
    await this.#verify({ registration_token, code });
  }

  /** Verifies with the mail's link. `proof_required`: another browser, so ask for the password. */
  async verifyWithLink(token: string, password?: string): Promise<void> {
    const registration_token = localStorage.getItem(REGISTRATION);
    const proof = password ? { password } : registration_token && { registration_token };
    await this.#verify({ token, ...proof });
  }

  async #verify(proof: object): Promise<void> {
    await this.#enter("/v1/verify-email", proof);
    localStorage.removeItem(REGISTRATION);
  }

  async logIn(username: string, password: string): Promise<void> {
    await this.#enter("/v1/token-auth", { username, password });
  }

  /** Throws if Hallpass is unreachable: the user is then still logged in, and must be told. */
  async logOut(): Promise<void> {
    await inTurn(async () => {
      await this.#send("POST", "/v1/token-revoke", { use_cookie: true });
      this.#leave();
    });
  }

  /**
   * Fetches the next access token, on load and after the old one has expired. Afterwards the user
   * is logged in or out. Throws if that is unknown.
   */
  refresh(): Promise<void> {
    // One refresh for all requests that find the token expired.
    this.#refreshing ??= inTurn(() => this.#refresh()).finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  async #refresh(): Promise<void> {
    const next = () => this.#send<Pair>("POST", "/v1/token-refresh", { use_cookie: true });
    try {
      const pair = await next().catch((error: unknown) => {
        // A page of another origin has refreshed: the browser has the newer cookie by now.
        if (error instanceof Refusal && error.code === "refresh_token_superseded") return next();
        throw error;
      });
      this.#become(pair.session_id, pair.access_token);
    } catch (error) {
      const over = error instanceof Refusal && error.status === 401;
      if (!over || error.code === "refresh_token_superseded") throw error;
      this.#leave();
    }
  }

  async #enter<T extends Partial<Pick<Pair, "access_token" | "session_id">>>(path: string, body: object): Promise<T> {
    return inTurn(async () => {
      const answer = await this.#send<T>("POST", path, { ...body, use_cookie: true });
      if (answer.access_token && answer.session_id) {
        this.#become(answer.session_id, answer.access_token);
        this.#tell({ began: answer.session_id });
      }
      return answer;
    });
  }

  #leave(): void {
    if (this.#session) this.#tell({ ended: this.#session });
    this.#become(null);
  }

  #become(session: string | null, accessToken = ""): void {
    this.#accessToken = accessToken;
    if (session === this.#session) return;
    this.#session = session;
    this.#onChange(session !== null);
  }

  #tell(news: News): void {
    this.#tabs.postMessage(news);
  }

  // --- the user's account ---------------------------------------------------------------------

  profile(): Promise<Profile> {
    return this.#call("GET", "/v1/me");
  }

  changeProfile(change: ProfileChange): Promise<Profile> {
    return this.#call("PATCH", "/v1/me", change);
  }

  changePassword(current_password: string, new_password: string): Promise<void> {
    return this.#call("POST", "/v1/password-change", { current_password, new_password });
  }

  async sessions(): Promise<Session[]> {
    return (await this.#call<Schemas["SessionList"]>("GET", "/v1/me/sessions")).sessions;
  }

  endSession(id: string): Promise<void> {
    return this.#call("DELETE", `/v1/me/sessions/${encodeURIComponent(id)}`);
  }

  endOtherSessions(): Promise<void> {
    return this.#call("DELETE", "/v1/me/sessions");
  }

  // --- links of mails -------------------------------------------------------------------------

  askForPasswordReset(email: string): Promise<void> {
    return this.#send("POST", "/v1/password-reset", { email });
  }

  async resetPassword(token: string, new_password: string): Promise<void> {
    await this.#send("POST", "/v1/password-reset/confirm", { token, new_password });
    await this.refresh(); // it ended every session of the user, maybe this one
  }

  async notMe(token: string): Promise<void> {
    await this.#send("POST", "/v1/not-me", { token });
    await this.refresh();
  }

  // --- requests -------------------------------------------------------------------------------

  /** Sends a request with the user's access token; also for an app's own endpoints. */
  async #call<T>(method: string, path: string, body?: object): Promise<T> {
    const [session, accessToken] = [this.#session, this.#accessToken];
    try {
      return await this.#send<T>(method, path, body, accessToken);
    } catch (error) {
      // token_expired, token_revoked, token_invalid: the refresh decides whether the session lives.
      if (!(error instanceof Refusal && error.code?.startsWith("token_"))) throw error;
      if (accessToken === this.#accessToken) await this.refresh();
      // Never repeat a request of one user with the token of another.
      if (!session || session !== this.#session) throw error;
      return await this.#send<T>(method, path, body, this.#accessToken);
    }
  }

  async #send<T>(method: string, path: string, body?: object, accessToken?: string): Promise<T> {
    const answer = await fetch(this.#url + path, {
      method,
      headers: {
        ...(body && { "Content-Type": "application/json" }),
        ...(accessToken !== undefined && { Authorization: `Bearer ${accessToken}` }),
      },
      body: body ? JSON.stringify(body) : null,
      // The cookie is sent only with requests that need it.
      credentials: body && "use_cookie" in body ? "include" : "omit",
      signal: AbortSignal.timeout(PATIENCE),
    });
    if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as T;
    // An intermediary, such as a proxy, may respond in another format.
    throw new Refusal(answer.status, await answer.json().catch(() => undefined));
  }
}

/**
 * Serializes requests that change the cookie, across all tabs. Otherwise a late response could
 * replace a newer cookie by an older one.
 */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  return navigator.locks.request("hallpass", work) as Promise<T>;
}
