export type { components, operations, paths } from "./api.js";
export { type Entered, Hallpass, type HallpassOptions, type SessionState } from "./client.js";
export { type ErrorCode, type EventKind, type FieldCode, HallpassError, type Problem, type Result, unwrap } from "./errors.js";
export type { KeyValueStorage } from "./storage.js";
