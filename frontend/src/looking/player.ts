/** One date after the other, each as long as it takes to be seen. */

import type { Session } from "../session/session";
import { byId } from "../ui/dom";

const SHOWN_MS = 700;
const LOOK_AGAIN_MS = 50;

export class Player {
  private timer: number | undefined;

  constructor(
    private readonly session: Session,
    private readonly changed: (isOn: boolean) => void,
  ) {}

  get isOn(): boolean {
    return this.timer !== undefined;
  }

  start(): void {
    this.timer = window.setTimeout(() => void this.step(), 0);
    this.changed(true);
  }

  stop(): void {
    if (!this.isOn) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.changed(false);
  }

  private async step(): Promise<void> {
    const { shownSeries: series } = this.session;
    const at = series.findIndex(({ id }) => id === this.session.store.get().scene?.id);
    await this.session.openScene(series[(at + 1) % series.length]!.id);
    this.wait();
  }

  /** A picture that is not there yet gets its time once it is. */
  private wait(): void {
    if (!this.isOn) return;
    if (byId("map").dataset["pictured"]) this.timer = window.setTimeout(() => void this.step(), SHOWN_MS);
    else this.timer = window.setTimeout(() => this.wait(), LOOK_AGAIN_MS);
  }
}
