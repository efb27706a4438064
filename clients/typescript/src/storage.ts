/** Storage of the session's record. */

/** `localStorage`, or anything like it; React Native's AsyncStorage fits as it is. */
export interface KeyValueStorage {
  getItem(key: string): string | null | Promise<string | null>;
  setItem(key: string, value: string): unknown;
  removeItem(key: string): unknown;
}

export class MemoryStorage implements KeyValueStorage {
  readonly #values = new Map<string, string>();

  getItem(key: string): string | null {
    return this.#values.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    this.#values.set(key, value);
  }

  removeItem(key: string): void {
    this.#values.delete(key);
  }
}

/**
 * The page's localStorage, for the hint. Workers and Node have none, and a browser's settings may
 * forbid it: then the hint is empty, which says that a session may exist.
 */
export const pageHint: KeyValueStorage = {
  getItem: (key) => attempt(() => localStorage.getItem(key)),
  setItem: (key, value) => attempt(() => localStorage.setItem(key, value)),
  removeItem: (key) => attempt(() => localStorage.removeItem(key)),
};

/** A full storage must not make a log-in fail: the session goes on until the page is closed. */
function attempt<T>(work: () => T): T | "" {
  try {
    return work();
  } catch {
    return "";
  }
}
