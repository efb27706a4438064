// Checks Hallpass's access tokens locally: signature and claims with the public keys (JWKS),
// log-outs with the revocation list. docs/checking-tokens.md gives the reasons.

import { createRemoteJWKSet, errors, jwtVerify } from "jose";

/** The only accepted algorithm: that of HALLPASS_JWT_ALGORITHM. */
const ALGORITHM = "ES256";
const REQUIRED = ["iss", "aud", "sub", "iat", "exp", "jti", "sid", "user_id"];
const POLL_EVERY = 1_000;
const TIMEOUT = 2_000;

/** An invalid token: 401. `code` is one of Hallpass's. */
export class Refused extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/** Keys or revocation list are out of date, so validity is unknown: 503. */
export class Unavailable extends Error {}

export class Verifier {
  #issuer;
  #audience;
  #keys;
  #revocations;

  /**
   * `issuer` is HALLPASS_PUBLIC_URL; `audience` one of HALLPASS_AUDIENCE, or the issuer where that is
   * not set; `maxStaleness` the maximum age of the revocation list in ms.
   */
  constructor(issuer, { audience = issuer, maxStaleness = 30_000 } = {}) {
    this.#issuer = issuer;
    this.#audience = audience;
    // Fetched when first needed, again after ten minutes, and for an unknown `kid`, but then not
    // more often than the cooldown allows.
    this.#keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`), {
      cacheMaxAge: 600_000,
      cooldownDuration: 10_000,
      timeoutDuration: TIMEOUT,
    });
    this.#revocations = new Revocations(`${issuer}/v1/revocations`, maxStaleness);
  }

  /** Returns the claims of a valid token. */
  async verify(token) {
    const claims = await this.#signed(token);
    this.#revocations.check(claims);
    return claims;
  }

  async #signed(token) {
    try {
      const { payload } = await jwtVerify(token, this.#keys, {
        algorithms: [ALGORITHM],
        typ: "at+jwt",
        issuer: this.#issuer,
        audience: this.#audience,
        clockTolerance: 5,
        requiredClaims: REQUIRED,
        // The maximum lifetime. This also refuses `iat` in the future.
        maxTokenAge: "15m",
      });
      const texts = [payload.sub, payload.jti, payload.sid].every((it) => typeof it === "string");
      if (!texts || !Number.isSafeInteger(payload.user_id)) throw new Refused("token_invalid");
      return payload;
    } catch (error) {
      throw asOutcome(error);
    }
  }
}

function asOutcome(error) {
  if (error instanceof Refused) return error;
  if (error instanceof errors.JWTExpired) return new Refused("token_expired");
  // No usable key set: no response, a time-out, or an invalid key set.
  const keysAreMissing =
    !(error instanceof errors.JOSEError) ||
    ["ERR_JWKS_TIMEOUT", "ERR_JWKS_INVALID", "ERR_JOSE_GENERIC"].includes(error.code);
  return keysAreMissing ? new Unavailable("no keys", { cause: error }) : new Refused("token_invalid");
}

/** The revocation list, polled every second. */
class Revocations {
  #url;
  #maxStaleness;
  #etag;
  #sessions = new Set();
  #users = new Map();
  #asOf = -Infinity;

  constructor(url, maxStaleness) {
    this.#url = url;
    this.#maxStaleness = maxStaleness;
    this.#pollForEver();
  }

  check({ sid, user_id, iat }) {
    if (this.#sessions.has(sid) || iat <= (this.#users.get(user_id) ?? -Infinity)) {
      throw new Refused("token_revoked");
    }
    if (performance.now() - this.#asOf > this.#maxStaleness) {
      throw new Unavailable("the list of revocations is too old");
    }
  }

  async #pollForEver() {
    try {
      await this.#poll();
    } catch {
      // The next poll may succeed. `check` compares the age of the list with its limit.
    }
    setTimeout(() => this.#pollForEver(), POLL_EVERY).unref();
  }

  async #poll() {
    // Time of the request: later revocations may be missing from the response.
    const asked = performance.now();
    const answer = await fetch(this.#url, {
      headers: this.#etag ? { "If-None-Match": this.#etag } : {},
      signal: AbortSignal.timeout(TIMEOUT),
    });
    if (answer.status === 200) {
      const { sessions, users } = await answer.json();
      this.#sessions = new Set(sessions.map((it) => it.session_id));
      this.#users = new Map(users.map((it) => [it.user_id, it.revoked_at]));
      this.#etag = answer.headers.get("etag");
    } else if (answer.status !== 304) {
      throw new Error(`${this.#url}: ${answer.status}`);
    }
    this.#asOf = asked;
  }
}
