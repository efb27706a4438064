/** axios, with the client's `fetch` under it: tokens, refresh and repetition as everywhere else. */
import axios from "axios";

export function orders(hallpass, baseURL) {
  return axios.create({ baseURL, adapter: "fetch", env: { fetch: hallpass.fetch } });
}

/** The same for an adapter that must stay as it is: the token only. An expired one is renewed beforehand. */
export function ordersByInterceptor(hallpass, baseURL) {
  const instance = axios.create({ baseURL });
  instance.interceptors.request.use(async (config) => {
    const token = await hallpass.token();
    if (token) config.headers.set("Authorization", `Bearer ${token}`);
    return config;
  });
  return instance;
}
