/** TanStack Query. With React, `QueryClient` comes from `@tanstack/react-query`. */
import { QueryClient } from "@tanstack/query-core";
import { HallpassError, unwrap } from "hallpass-client";

/** Repeats what may succeed the next time, and nothing else. */
function isPassing(error) {
  return (
    error instanceof HallpassError &&
    ["unreachable", "unavailable", "overloaded"].includes(error.code)
  );
}

export function queryClient(hallpass) {
  const client = new QueryClient({
    defaultOptions: { queries: { retry: (failures, error) => failures < 3 && isPassing(error) } },
  });
  // What one user has loaded is not for the next, in whichever tab the user changed.
  hallpass.onChange(() => client.clear());
  return client;
}

export function me(hallpass) {
  return {
    queryKey: ["me"],
    queryFn: ({ signal }) => unwrap(hallpass.api.GET("/v1/me", { signal })),
  };
}
