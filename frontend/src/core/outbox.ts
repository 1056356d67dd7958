/**
 * Changes on their way to the server, in the order in which the user made them.
 *
 * One is under way at a time, so the server sees them in order. Where the server does not answer, the same change with the
 * same key is sent again until it does: the server applies a key once, so nothing is lost and nothing happens twice.
 */

export interface Parcel<R> {
  readonly key: string;
  readonly send: () => Promise<R>;
  readonly delivered: (result: R) => void;
  /** The server said no: the change will not happen. */
  readonly refused: (error: unknown) => void;
}

export interface OutboxOptions {
  /** True for an error that another try may mend. */
  readonly retryable: (error: unknown) => boolean;
  /** Called when the number of changes waiting, or the server's silence, changed. */
  readonly changed: (waiting: number, stuck: boolean) => void;
  readonly wait?: (ms: number) => Promise<void>;
}

const LONGEST_PAUSE_MS = 4000;

export class Outbox<R> {
  private readonly queue: Parcel<R>[] = [];
  private running = false;
  private wake: (() => void) | null = null;

  constructor(private readonly options: OutboxOptions) {}

  get waiting(): number {
    return this.queue.length;
  }

  /** True for the key of a change of this page that has no answer yet. */
  holds(key: string): boolean {
    return this.queue.some((parcel) => parcel.key === key);
  }

  push(parcel: Parcel<R>): void {
    this.queue.push(parcel);
    this.options.changed(this.queue.length, false);
    if (!this.running) void this.run();
  }

  /** Try again at once, as when the server is back. */
  retryNow(): void {
    this.wake?.();
  }

  private async run(): Promise<void> {
    this.running = true;
    let pause = 250;
    for (let parcel = this.queue[0]; parcel; parcel = this.queue[0]) {
      try {
        const result = await parcel.send();
        this.queue.shift();
        pause = 250;
        parcel.delivered(result);
      } catch (error) {
        if (this.options.retryable(error)) {
          this.options.changed(this.queue.length, true);
          await this.pause(pause);
          pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
          continue;
        }
        this.queue.shift();
        parcel.refused(error);
      }
      this.options.changed(this.queue.length, false);
    }
    this.running = false;
  }

  private pause(ms: number): Promise<void> {
    const timer = this.options.wait?.(ms) ?? new Promise<void>((resolve) => setTimeout(resolve, ms));
    const woken = new Promise<void>((resolve) => {
      this.wake = resolve;
    });
    return Promise.race([timer, woken]).finally(() => {
      this.wake = null;
    });
  }
}
