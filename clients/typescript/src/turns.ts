/** Mutual exclusion of what changes the session, over all tabs where the browser has Web Locks. */

/** `waited`: another tab had its turn right before, so its news may still be under way. */
export type Work<T> = (waited: boolean) => Promise<T>;

export class Turns {
  readonly #locks: LockManager | undefined;
  readonly #name: string;
  readonly #patience: number;
  #last: Promise<unknown> = Promise.resolve();

  /** `patience` is in milliseconds; `shared` is false for a session that no other tab knows. */
  constructor(name: string, shared: boolean, patience: number) {
    // Workers have it, old browsers and Node 20 do not.
    this.#locks = shared ? globalThis.navigator?.locks : undefined;
    this.#name = name;
    this.#patience = patience;
  }

  take<T>(work: Work<T>): Promise<T> {
    const turn = this.#last.then(() => this.#lock(work));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #lock<T>(work: Work<T>): Promise<T> {
    if (!this.#locks) return work(false);
    const free = await this.#locks.request(
      this.#name,
      { ifAvailable: true },
      async (lock) => lock && { result: await work(false) },
    );
    if (free) return free.result;

    let begun = false;
    const run = () => {
      begun = true;
      return work(true);
    };
    try {
      return await this.#locks.request(
        this.#name,
        { signal: AbortSignal.timeout(this.#patience) },
        run,
      );
    } catch (error) {
      if (begun) throw error;
      // The holder is frozen (a background tab of a phone). The service gives two tabs that
      // refresh at once the same token, so going on without the lock is the smaller evil.
      return run();
    }
  }
}
