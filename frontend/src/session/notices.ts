/** Saying things to the user. */

import { tServer } from "../i18n";
import { ApiError } from "../core/api";
import type { Store } from "../core/store";
import type { Notice, State } from "./state";

const ERROR_MS = 12_000;
const INFO_MS = 5000;

export class Notices {
  private lastId = 0;

  constructor(private readonly store: Store<State>) {}

  notify(kind: Notice["kind"], text: string): void {
    const { notices } = this.store.get();
    if (notices.some((notice) => notice.text === text)) return;
    const notice: Notice = { id: ++this.lastId, kind, text };
    this.store.set({ notices: [...notices, notice].slice(-4) });
    setTimeout(() => this.dismiss(notice.id), kind === "error" ? ERROR_MS : INFO_MS);
  }

  dismiss(id: number): void {
    this.store.set({ notices: this.store.get().notices.filter((notice) => notice.id !== id) });
  }

  /** Show an error as the server put it; silence of the server shows in the header instead. */
  report(error: unknown): void {
    if (error instanceof ApiError && error.isOffline) this.store.set({ online: false });
    else if (error instanceof ApiError && error.type === "Stale") return;
    else this.notify("error", tServer(error instanceof Error ? error.message : String(error)));
  }

  /** Run something that asks the server; an error becomes a notice. */
  async guard(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.report(error);
    }
  }
}
