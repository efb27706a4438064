/**
 * Auth.js (NextAuth.js 5 and @auth/*), with Hallpass behind its credentials provider. Auth.js keeps
 * both tokens in its own encrypted cookie, and renews the access token when the session is read.
 */
import Credentials from "@auth/core/providers/credentials";
import { Hallpass, HallpassError, unwrap } from "hallpass-client";

/** Seconds before the expiry from which on the access token is renewed. */
const MARGIN = 30;

export function authConfig(url, secret) {
  // Without a session of its own: the users' sessions are in their cookies.
  const { api } = new Hallpass({ url, mode: "bearer" });

  async function authorize({ username, password }) {
    try {
      const pair = await unwrap(api.POST("/v1/token-auth", { body: { username, password } }));
      const headers = { Authorization: `Bearer ${pair.access_token}` };
      const { id, email, username: name } = await unwrap(api.GET("/v1/me", { headers }));
      return { id: String(id), email, name, pair };
    } catch (error) {
      // Auth.js shows its "wrong name or password" for null, and its error page for what is thrown.
      if (error instanceof HallpassError && error.code === "invalid_credentials") return null;
      throw error;
    }
  }

  async function renew(token) {
    try {
      const body = { refresh_token: token.refreshToken };
      return { ...token, ...tokens(await unwrap(api.POST("/v1/token-refresh", { body }))) };
    } catch (error) {
      // null deletes the cookie. A service in trouble must not do that, nor a request that was
      // overtaken by another one of the same browser.
      return error instanceof HallpassError && error.endsSession ? null : token;
    }
  }

  return {
    secret,
    trustHost: true,
    // The idle time of Hallpass's sessions.
    session: { strategy: "jwt", maxAge: 7 * 24 * 3600 },
    providers: [
      Credentials({ credentials: { username: {}, password: { type: "password" } }, authorize }),
    ],
    callbacks: {
      jwt: ({ token, user }) => {
        if (user) return { ...token, ...tokens(user.pair) };
        return now() < token.expiresAt - MARGIN ? token : renew(token);
      },
      // Pages see the access token, never the refresh token.
      session: ({ session, token }) => ({ ...session, accessToken: token.accessToken }),
    },
    events: {
      signOut: ({ token }) =>
        unwrap(api.POST("/v1/token-revoke", { body: { refresh_token: token.refreshToken } })),
    },
  };
}

function tokens(pair) {
  return {
    accessToken: pair.access_token,
    refreshToken: pair.refresh_token,
    expiresAt: now() + pair.expires_in,
  };
}

function now() {
  return Date.now() / 1000;
}
