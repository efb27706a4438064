/**
 * The client: what a page has to know to live with Hallpass on another origin.
 *
 * - The refresh token is in a cookie that no script can read. The access token is in memory only, so
 *   a page that is loaded has none: it asks for one with the cookie.
 * - Only Hallpass's word (a 401) ends a log-in here. A network that is away and a server in trouble
 *   do not: the person tries again later and is still logged in.
 */
import type { components } from "./api";

type Schemas = components["schemas"];
export type Profile = Schemas["Profile"];
export type Session = Schemas["Session"];
export type Problem = Schemas["Problem"];
export type Registration = Schemas["RegisterRequest"];
export type ProfileChange = Schemas["UpdateMeRequest"];

/** What a log-in answers in cookie mode. */
type Pair = Schemas["TokenPair"];

/** Told to the other tabs. With the session's id, a message that comes late does no harm. */
type News = { began: string } | { ended: string };

/** An answer other than success. `code` is what to switch on (docs/errors.md). */
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

/** Where localStorage has the registration token. */
const REGISTRATION = "hallpass.registration";
/** Milliseconds. Without an end, a request that hangs would keep the other tabs waiting. */
const PATIENCE = 10_000;

export class Hallpass {
  readonly #url: string;
  readonly #onChange: (loggedIn: boolean) => void;
  readonly #tabs = new BroadcastChannel("hallpass");
  #accessToken = "";
  /** `undefined` until Hallpass has answered for the first time, `null` when logged out. */
  #session: string | null | undefined;
  #refreshing: Promise<void> | undefined;

  /** `onChange` hears of every log-in, log-out and change of person, in this tab or another. */
  constructor(url: string, onChange: (loggedIn: boolean) => void) {
    this.#url = url;
    this.#onChange = onChange;
    this.#tabs.onmessage = ({ data }: MessageEvent<News>) => {
      if ("ended" in data && data.ended === this.#session) this.#become(null);
      // Somebody logged in, perhaps somebody else: the cookie is theirs now.
      if ("began" in data && data.began !== this.#session) this.refresh().catch(() => undefined);
    };
  }

  // --- coming and going -----------------------------------------------------------------------

  /** Whether the person is logged in now; mostly not, as the address has to be proven first. */
  async register(person: Registration): Promise<boolean> {
    const answer = await this.#enter<Schemas["Registered"]>("/v1/register", person);
    // The mail's link opens a new tab, so this is not for sessionStorage. It is worth nothing
    // without the code or the link.
    if (answer.registration_token) localStorage.setItem(REGISTRATION, answer.registration_token);
    return answer.access_token !== undefined;
  }

  /** With the six digits of the mail, in the browser that registered. */
  async verifyWithCode(code: string): Promise<void> {
    const registration_token = localStorage.getItem(REGISTRATION) ?? "";
    await this.#verify({ registration_token, code });
  }

  /** With the mail's link. `proof_required`: not the browser that registered, so ask for the password. */
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

  /** Throws when Hallpass was not reached: then the person is still logged in, and has to know. */
  async logOut(): Promise<void> {
    await inTurn(async () => {
      await this.#send("POST", "/v1/token-revoke", { use_cookie: true });
      this.#leave();
    });
  }

  /**
   * Fetches the next access token; on load, and whenever the old one is over. Afterwards the person
   * is logged in or out. Throws when that is not known.
   */
  refresh(): Promise<void> {
    // However many requests find the token expired: one refresh.
    this.#refreshing ??= inTurn(() => this.#refresh()).finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  async #refresh(): Promise<void> {
    const next = () => this.#send<Pair>("POST", "/v1/token-refresh", { use_cookie: true });
    try {
      const pair = await next().catch((error: unknown) => {
        // A page of another origin was faster: the browser has the newer cookie by now.
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

  // --- the person's own account ---------------------------------------------------------------

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

  // --- with a mail's link ---------------------------------------------------------------------

  askForPasswordReset(email: string): Promise<void> {
    return this.#send("POST", "/v1/password-reset", { email });
  }

  async resetPassword(token: string, new_password: string): Promise<void> {
    await this.#send("POST", "/v1/password-reset/confirm", { token, new_password });
    await this.refresh(); // it ended every session of the person: this one too?
  }

  async notMe(token: string): Promise<void> {
    await this.#send("POST", "/v1/not-me", { token });
    await this.refresh();
  }

  // --- how requests are made ------------------------------------------------------------------

  /** A request in the person's name; for an app's own endpoints as well. */
  async #call<T>(method: string, path: string, body?: object): Promise<T> {
    const [session, accessToken] = [this.#session, this.#accessToken];
    try {
      return await this.#send<T>(method, path, body, accessToken);
    } catch (error) {
      // token_expired, token_revoked, token_invalid: the refresh finds out which.
      if (!(error instanceof Refusal && error.code?.startsWith("token_"))) throw error;
      if (accessToken === this.#accessToken) await this.refresh();
      // Never repeat one person's request in the name of the next.
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
      // The cookie goes along only where it is the point of the request.
      credentials: body && "use_cookie" in body ? "include" : "omit",
      signal: AbortSignal.timeout(PATIENCE),
    });
    if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as T;
    // Something in between, a proxy for instance, may answer in its own way.
    throw new Refusal(answer.status, await answer.json().catch(() => undefined));
  }
}

/**
 * Requests that change the cookie are made one after the other, over all tabs: else an answer that was
 * under way for long could put an old cookie in the place of a newer one.
 */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  return navigator.locks.request("hallpass", work) as Promise<T>;
}
