/** What the compiler holds: `tsc --noEmit` is this file's test. */
import { type components, type EventKind, type FieldCode, Hallpass, HallpassError, unwrap } from "../src/index.js";

type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_same: Same<A, B>): void => undefined;

export async function types(hallpass: Hallpass): Promise<void> {
  const me = await unwrap(hallpass.api.GET("/v1/me"));
  same<typeof me, components["schemas"]["Profile"]>(true);
  const nothing = await unwrap(hallpass.api.DELETE("/v1/me/sessions"));
  same<typeof nothing, undefined>(true);

  // @ts-expect-error no such path
  void hallpass.api.GET("/v1/nothing");
  // @ts-expect-error a number is no locale
  void hallpass.api.PATCH("/v1/me", { body: { locale: 7 } });

  const { error } = await hallpass.api.GET("/v1/me");
  if (error?.code === "token_expired") return;

  // Open lists are texts, in an answer as it comes too.
  const text = (_text: string): void => undefined;
  const raw = await hallpass.api.GET("/v1/me/events");
  if (raw.error) text(raw.error.code);
  if (raw.data?.events[0]) text(raw.data.events[0].kind);
  const { events } = await unwrap(hallpass.api.GET("/v1/me/events"));
  const kinds: EventKind[] = events.map((event) => event.kind);
  // @ts-expect-error a number is no kind
  kinds.push(7);

  try {
    await hallpass.logIn({ username: "mina", password: "plum tree at dusk" });
  } catch (problem) {
    if (!(problem instanceof HallpassError)) throw problem;
    switch (problem.code) {
      case "invalid_credentials":
      case "unreachable":
      case "a_code_of_tomorrow":
        return;
    }
    text(problem.code);
    const field: FieldCode | undefined = problem.problem?.errors?.[0]?.code;
    if (field === "too_short") return;
  }
}
