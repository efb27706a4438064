/** A service worker that makes requests in the user's name. It has neither window nor localStorage. */
import { Hallpass, unwrap } from "hallpass-client";

const hallpass = new Hallpass({ url: new URL(location.href).searchParams.get("service") });

addEventListener("message", (event) => {
  const answer = (value) => event.ports[0].postMessage(value);
  event.waitUntil(
    unwrap(hallpass.api.GET("/v1/me")).then(
      ({ email }) => answer({ email, session: hallpass.session }),
      ({ code }) => answer({ code, session: hallpass.session }),
    ),
  );
});
