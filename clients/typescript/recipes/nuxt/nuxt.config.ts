// Nuxt with @sidebase/nuxt-auth, whose `local` provider speaks with Hallpass itself: pages that the
// server renders know the user, and the browser needs no client of its own.
export default defineNuxtConfig({
  modules: ["@sidebase/nuxt-auth"],
  telemetry: false,
  compatibilityDate: "2026-01-01",
  auth: {
    // NUXT_PUBLIC_AUTH_BASE_URL at run time. The app's origin belongs into HALLPASS_CORS_ORIGINS.
    baseURL: "http://127.0.0.1:8000",
    globalAppMiddleware: true,
    provider: {
      type: "local",
      pages: { login: "/login" },
      endpoints: {
        signIn: { path: "/v1/token-auth", method: "post" },
        signOut: { path: "/v1/token-revoke", method: "post" },
        signUp: false,
        getSession: { path: "/v1/me", method: "get" },
      },
      token: {
        signInResponseTokenPointer: "/access_token",
        // The life of an access token (HALLPASS_ACCESS_TOKEN_TTL).
        maxAgeInSeconds: 5 * 60,
        sameSiteAttribute: "lax",
        secureCookieAttribute: process.env.NODE_ENV === "production",
      },
      refresh: {
        isEnabled: true,
        endpoint: { path: "/v1/token-refresh", method: "post" },
        // Refresh tokens rotate.
        refreshOnlyToken: false,
        token: {
          signInResponseRefreshTokenPointer: "/refresh_token",
          refreshRequestTokenPointer: "/refresh_token",
          // The idle time of a session (HALLPASS_REFRESH_TOKEN_TTL).
          maxAgeInSeconds: 7 * 24 * 3600,
          sameSiteAttribute: "lax",
          secureCookieAttribute: process.env.NODE_ENV === "production",
        },
      },
    },
    sessionRefresh: {
      // Before the access token expires, and when a laptop wakes up.
      enablePeriodically: 4 * 60 * 1000,
      enableOnWindowFocus: true,
    },
  },
});
