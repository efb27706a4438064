/** The session of one user, and requests in its name. */
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./api.js";
import { asHallpassError, HallpassError, isProblem, type Result, unwrap } from "./errors.js";
import { type KeyValueStorage, MemoryStorage, pageHint } from "./storage.js";
import { Turns } from "./turns.js";

type Schemas = components["schemas"];

export interface HallpassOptions {
  /** Hallpass's address, `https://auth.example.com`. */
  url: string;
  /**
   * `cookie` (default): the refresh token is in a cookie that no script can read.
   * `bearer`: it is in `storage`; for Node, native apps, and front ends on another site.
   */
  mode?: "cookie" | "bearer";
  /**
   * Origins of the application's own APIs. `fetch` gives the access token to these, to the page's
   * own and to Hallpass's, and refuses others.
   */
  origins?: readonly string[];
  /**
   * Cookie mode: the hint that a session may exist; by default `localStorage` where there is one,
   * and otherwise nothing, so that `start` always asks the service.
   * Bearer mode: the refresh token; by default memory, so that each tab has its own session.
   */
  storage?: KeyValueStorage;
  /** Milliseconds that an answer of Hallpass may take; 15,000 by default. */
  timeout?: number;
  /** Makes the requests; `globalThis.fetch` by default. */
  fetch?: (request: Request) => Promise<Response>;
}

/** A session's id while logged in, `null` while logged out, `undefined` until that is known. */
export type SessionState = string | null | undefined;

/** Members that the answers of log-in, registration and verification have in common. */
export type Entered = Partial<
  Pick<Schemas["TokenPair"], "access_token" | "device_token" | "refresh_token" | "session_id">
> & { expires_in?: number };

/** Times are of `Date.now()`: unlike timers it goes on while a computer sleeps. */
interface Access {
  session: string;
  token: string;
  renewAt: number;
  expiresAt: number;
}

/** Messages to the other tabs. With the session's id, a late one does no harm. */
type News = Access | { ended: string };

/** Milliseconds before the expiry from which on requests have the access token renewed. */
const RENEWAL = 60_000;
/** Milliseconds until a refresh without an answer is repeated. */
const RETRY = 1_000;
/** Milliseconds that another tab's news may be under way. */
const NEWS = 250;

export class Hallpass {
  /** Requests to Hallpass, with the access token. */
  readonly api: Client<paths>;
  /** Requests without it, for the work of a turn: with it they would wait for that turn's end. */
  readonly #service: Client<paths>;
  readonly #cookie: boolean;
  readonly #origins: ReadonlySet<string>;
  /** Names the stored record, the lock and the channel. */
  readonly #key: string;
  readonly #storage: KeyValueStorage;
  readonly #timeout: number;
  readonly #send: (request: Request) => Promise<Response>;
  readonly #turns: Turns;
  readonly #channel: BroadcastChannel | undefined;
  readonly #listeners = new Set<(session: string | null) => void>();
  #access: Access | null | undefined;
  #refreshing: Promise<void> | undefined;
  #heard: () => void = () => undefined;

  constructor({
    url,
    mode = "cookie",
    origins = [],
    storage,
    timeout = 15_000,
    fetch,
  }: HallpassOptions) {
    this.#cookie = mode === "cookie";
    this.#timeout = timeout;
    this.#send = fetch ?? ((request) => globalThis.fetch(request));
    // A page has a location, a worker has one, Node has none.
    this.#origins = new Set(
      [url, ...origins, globalThis.location?.href ?? url].map((of) => new URL(of).origin),
    );
    this.#key = `hallpass:${mode}:${url}`;
    const shared = this.#cookie || storage !== undefined;
    this.#storage = storage ?? (this.#cookie ? pageHint : new MemoryStorage());
    this.#turns = new Turns(this.#key, shared, timeout);
    this.#channel = shared ? this.#listen() : undefined;
    const timed = (request: Request) => this.#timed(request);
    this.#service = createClient<paths>({ baseUrl: url, fetch: timed });
    this.api = createClient<paths>({
      baseUrl: url,
      fetch: (request) => this.#authorized(request, timed),
    });
  }

  get session(): SessionState {
    return this.#access && this.#access.session;
  }

  /** Calls `listener` after every log-in, log-out and change of user, in this tab or another. */
  onChange(listener: (session: string | null) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Finds out whether there is a session; no request where the hint says that there is none.
   *
   * @throws {HallpassError} when the service did not say. The session is kept.
   */
  async start(): Promise<boolean> {
    if (this.#access === undefined) {
      const hint = await this.#storage.getItem(this.#key);
      // A log-in may have been faster than the storage.
      if (hint !== null) await this.refresh();
      else if (this.#access === undefined) this.#become(null);
    }
    return Boolean(this.#access);
  }

  // --- log-in and log-out -----------------------------------------------------------------------

  logIn(
    credentials: Pick<Schemas["TokenAuthRequest"], "username" | "password">,
  ): Promise<Schemas["TokenPair"]> {
    return this.enter(async (service) => {
      const device_token = this.#cookie ? null : await this.#storage.getItem(`${this.#key}:device`);
      const body = { ...credentials, ...(device_token && { device_token }) };
      return service.POST("/v1/token-auth", this.#with(body));
    });
  }

  /** The user is logged in afterwards only where e-mail addresses need no verification. */
  register(user: Schemas["RegisterRequest"]): Promise<Schemas["Registered"]> {
    return this.enter((service) => service.POST("/v1/register", this.#with(user)));
  }

  verifyEmail(proof: Schemas["VerifyEmailRequest"]): Promise<Schemas["EmailVerified"]> {
    return this.enter((service) => service.POST("/v1/verify-email", this.#with(proof)));
  }

  /** Makes a request that may open a session, and takes over the tokens of its answer. */
  enter<T extends Entered>(call: (service: Client<paths>) => Promise<Result<T>>): Promise<T> {
    return this.#turns.take(async () => {
      const begun = Date.now();
      const answer = await unwrap(call(this.#service));
      await this.#adopt(answer, begun);
      return answer;
    });
  }

  /** @throws {HallpassError} when the service was not reached. The user is still logged in then. */
  logOut(): Promise<void> {
    return this.#turns.take(async () => {
      const stored = await this.#storage.getItem(this.#key);
      if (this.#cookie || stored) {
        await unwrap(this.#service.POST("/v1/token-revoke", this.#refreshToken(stored)));
      }
      await this.#end();
    });
  }

  /** Releases the channel to the other tabs. The client is of no use afterwards. */
  close(): void {
    this.#channel?.close();
  }

  // --- tokens -----------------------------------------------------------------------------------

  /** Returns a valid access token, `undefined` while logged out. For other HTTP clients. */
  async token(): Promise<string | undefined> {
    await this.start();
    if (this.#access && Date.now() >= this.#access.renewAt) {
      const refreshing = this.refresh();
      // The old token is good for a while: neither wait for the new one, nor need it.
      if (Date.now() < this.#access.expiresAt) refreshing.catch(() => undefined);
      else await refreshing;
    }
    return this.#access?.token;
  }

  /**
   * Fetches the next access token. Afterwards the user is known to be logged in or out.
   *
   * @throws {HallpassError} when the service did not say. The session is kept.
   */
  refresh(): Promise<void> {
    const stale = this.#access?.token;
    this.#refreshing ??= this.#turns
      .take(async (waited) => {
        if (waited && stale === this.#access?.token) await this.#news();
        // Another tab has done it.
        if (stale === this.#access?.token) await this.#refresh();
      })
      .finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  async #refresh(): Promise<void> {
    for (let first = true; ; first = false) {
      const stored = await this.#storage.getItem(this.#key);
      if (!this.#cookie && !stored) return this.#end();
      try {
        return await this.#exchange(stored);
      } catch (error) {
        if (!(error instanceof HallpassError)) throw error;
        if (error.endsSession && (await this.#isStored(stored))) return this.#end();
        const again =
          error.endsSession ||
          error.code === "refresh_token_superseded" ||
          error.code === "unreachable";
        if (!first || !again) throw error;
        // The service repeats a lost answer for 30 seconds. Later, when the user is back for
        // instance, the old token would look stolen: so do not leave it to the next request.
        if (error.code === "unreachable") await sleep(RETRY);
      }
    }
  }

  async #exchange(stored: string | null): Promise<void> {
    const begun = Date.now();
    // A tab that is closed now would lose the new cookie; with keepalive the browser gets it.
    const init = { ...this.#refreshToken(stored), keepalive: this.#cookie };
    const pair = await unwrap(this.#service.POST("/v1/token-refresh", init));
    if (!pair?.access_token) throw new HallpassError(0);
    await this.#adopt(pair, begun, await this.#isStored(stored));
  }

  /** False where a tab without locks was faster: then the stored refresh token is newer. */
  async #isStored(used: string | null): Promise<boolean> {
    return this.#cookie || used === (await this.#storage.getItem(this.#key));
  }

  /** Adds what makes the service use its cookies, in cookie mode. */
  #with<T extends object>(
    body: T,
  ): { body: T & { use_cookie?: true }; credentials: RequestCredentials } {
    return this.#cookie
      ? { body: { ...body, use_cookie: true }, credentials: "include" }
      : { body, credentials: "omit" };
  }

  #refreshToken(stored: string | null) {
    return this.#with(this.#cookie || !stored ? {} : { refresh_token: stored });
  }

  // --- the state, here and in the other tabs ----------------------------------------------------

  async #adopt(pair: Entered, begun: number, store = true): Promise<void> {
    const { access_token: token, session_id: session, expires_in = 0, device_token } = pair;
    if (!token || !session) return;
    if (store) await this.#storage.setItem(this.#key, pair.refresh_token ?? session);
    if (device_token) await this.#storage.setItem(`${this.#key}:device`, device_token);
    const life = expires_in * 1000;
    const expiresAt = begun + life;
    const access = { session, token, expiresAt, renewAt: expiresAt - Math.min(RENEWAL, life / 4) };
    this.#become(access);
    this.#tell(access);
  }

  async #end(): Promise<void> {
    await this.#storage.removeItem(this.#key);
    if (this.#access) this.#tell({ ended: this.#access.session });
    this.#become(null);
  }

  #become(access: Access | null): void {
    const before = this.session;
    this.#access = access;
    const session = access && access.session;
    if (session === before) return;
    // A listener that throws must not keep the session from working.
    for (const listener of this.#listeners) queueMicrotask(() => listener(session));
  }

  #tell(news: News): void {
    this.#channel?.postMessage(news);
  }

  #listen(): BroadcastChannel | undefined {
    if (!globalThis.BroadcastChannel) return undefined;
    const channel = new BroadcastChannel(this.#key);
    channel.onmessage = ({ data }: MessageEvent<News>) => {
      if (!("ended" in data)) this.#become(data);
      else if (data.ended === this.session) this.#become(null);
      this.#heard();
    };
    // Node would not end while it is open.
    if ("unref" in channel && typeof channel.unref === "function") channel.unref();
    return channel;
  }

  #news(): Promise<void> {
    return Promise.race([sleep(NEWS), new Promise<void>((heard) => (this.#heard = heard))]);
  }

  // --- requests ---------------------------------------------------------------------------------

  /**
   * `fetch` with the access token, for the application's own APIs. When the token was refused as
   * expired, the request is repeated once with the next one.
   */
  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    const { origin } = new URL(request.url);
    if (!this.#origins.has(origin)) {
      throw new TypeError(`${origin} gets no token: it is not in \`origins\``);
    }
    return this.#authorized(request, this.#send);
  };

  async #authorized(
    request: Request,
    send: (request: Request) => Promise<Response>,
  ): Promise<Response> {
    await this.token();
    const used = this.#access;
    if (!used) return send(request);
    const again = request.clone();
    const response = await send(withToken(request, used.token));
    if (response.status !== 401 || !(await isTokenRefused(response))) return response;
    if (this.#access?.token === used.token) await this.refresh();
    // Never repeat one user's request in the name of the next.
    if (this.#access?.session !== used.session) return response;
    return send(withToken(again, this.#access.token));
  }

  async #timed(request: Request): Promise<Response> {
    const signal = AbortSignal.any([request.signal, AbortSignal.timeout(this.#timeout)]);
    try {
      return await this.#send(new Request(request, { signal }));
    } catch (error) {
      throw asHallpassError(error);
    }
  }
}

function withToken(request: Request, token: string): Request {
  request.headers.set("Authorization", `Bearer ${token}`);
  return request;
}

/**
 * Tells a refused token from other reasons for a 401, a wrong password for instance. RFC 6750 has
 * the header for it; a page sees that of another origin only if the API exposes it, so Hallpass's
 * codes count as well.
 */
async function isTokenRefused(response: Response): Promise<boolean> {
  if (response.headers.get("WWW-Authenticate")?.includes("invalid_token")) return true;
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => undefined);
  return isProblem(body) && body.code.startsWith("token_");
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, milliseconds));
}
