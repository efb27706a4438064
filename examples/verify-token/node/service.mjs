// A service that authenticates its callers:
//
//     npm install
//     HALLPASS_PUBLIC_URL=http://127.0.0.1:8000 PORT=3000 node service.mjs

import { createServer } from "node:http";
import { Refused, Unavailable, Verifier } from "./verifier.mjs";

const { HALLPASS_PUBLIC_URL = "http://127.0.0.1:8000", PORT = "3000", MAX_STALENESS = "30" } =
  process.env;
const verifier = new Verifier(HALLPASS_PUBLIC_URL, {
  audience: process.env.AUDIENCE,
  maxStaleness: Number(MAX_STALENESS) * 1000,
});

const server = createServer(async (request, response) => {
  const answer = (status, body, headers = {}) =>
    response
      .writeHead(status, { "Content-Type": "application/json", ...headers })
      .end(JSON.stringify(body));
  try {
    const [, token] = /^Bearer ([^ ]+)$/i.exec(request.headers.authorization ?? "") ?? [];
    if (!token) throw new Refused("authentication_required");
    const { user_id, username } = await verifier.verify(token);
    answer(200, { user_id, username });
  } catch (error) {
    if (error instanceof Refused) {
      // RFC 6750 section 3.1: an error code only where a token was sent.
      const sent = error.code !== "authentication_required";
      const challenge = sent ? 'Bearer error="invalid_token"' : "Bearer";
      answer(401, { code: error.code }, { "WWW-Authenticate": challenge });
    } else if (error instanceof Unavailable) {
      answer(503, { code: "unavailable" }, { "Retry-After": "1" });
    } else {
      answer(500, { code: "internal_error" });
    }
  }
});
server.listen(Number(PORT), "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
