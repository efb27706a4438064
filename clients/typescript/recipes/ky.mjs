/** ky, with the client's `fetch` under it. */
import ky from "ky";

export function orders(hallpass, prefixUrl) {
  return ky.create({ prefixUrl, fetch: hallpass.fetch });
}
