/** axios, with the client's `fetch` under it: tokens, refresh and repetition as everywhere else. */
import axios from "axios";

export function orders(hallpass, baseURL) {
  return axios.create({ baseURL, adapter: "fetch", env: { fetch: hallpass.fetch } });
}

/** For another adapter: the token, renewed before it expires. No request is repeated. */
export function ordersByInterceptor(hallpass, baseURL) {
  const instance = axios.create({ baseURL });
  instance.interceptors.request.use(async (config) => {
    const token = await hallpass.token();
    if (token) config.headers.set("Authorization", `Bearer ${token}`);
    return config;
  });
  return instance;
}
