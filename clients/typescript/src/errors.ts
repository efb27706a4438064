/** Errors by code. */
import type { components, KnownValues } from "./api.js";

export type Problem = components["schemas"]["Problem"];

/** Admits values that a later version adds, without losing the others in an editor. */
type Open<Known extends string> = Known | (string & {});

/** The codes of faulty fields: `code` in `errors` of a problem. */
export type FieldCode = Open<KnownValues["FieldProblem.code"]>;

/** The kinds of events. */
export type EventKind = Open<KnownValues["Event.kind"]>;

/**
 * The service's codes, and `unreachable`, the client's own: no answer, or one that is not from
 * Hallpass (a proxy's 502, a captive portal).
 */
export type ErrorCode = Open<KnownValues["Problem.code"] | "unreachable">;

/** The only codes that end a session. A service in trouble never does. */
const ENDS: readonly ErrorCode[] = [
  "refresh_token_unknown",
  "refresh_token_expired",
  "refresh_token_revoked",
  "refresh_token_reused",
];

/** A request that did not succeed. Switch on `code`; `message` is for people and may change. */
export class HallpassError extends Error {
  override readonly name = "HallpassError";
  readonly code: ErrorCode;
  /** The HTTP status; 0 without an answer. */
  readonly status: number;
  /** The whole answer of the service, with `errors` for the fields of a form. */
  readonly problem: Problem | undefined;

  constructor(status: number, problem?: Problem, options?: ErrorOptions) {
    super(problem?.detail ?? "The service cannot be reached.", options);
    this.code = problem?.code ?? "unreachable";
    this.status = status;
    this.problem = problem;
  }

  /** Whether the answer to a refresh means that the user is logged out. */
  get endsSession(): boolean {
    return this.status === 401 && ENDS.includes(this.code);
  }
}

export function isProblem(body: unknown): body is Problem {
  return (
    typeof body === "object" && body !== null && "code" in body && typeof body.code === "string"
  );
}

/** An answer of an openapi-fetch client. */
export interface Result<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/**
 * Returns the data of an answer.
 *
 * @throws {HallpassError} for every other answer, and for none.
 */
export async function unwrap<T>(call: Promise<Result<T>>): Promise<T> {
  const { data, error, response } = await call.catch((cause: unknown) => {
    throw asHallpassError(cause);
  });
  if (!response.ok) throw new HallpassError(response.status, isProblem(error) ? error : undefined);
  return data as T;
}

/** Leaves alone what the application aborted by itself. */
export function asHallpassError(cause: unknown): unknown {
  const own =
    cause instanceof HallpassError || (cause instanceof Error && cause.name === "AbortError");
  return own ? cause : new HallpassError(0, undefined, { cause });
}
