/**
 * Which tiles to ask for, in which order, and which answers to keep.
 *
 * The rules the repaint rests on, without a canvas or a network in sight:
 * the tile nearest to the last mark is asked for first; an answer of an older revision never replaces a newer one;
 * a tile stays on show until a better one of its place has arrived.
 */

export interface TileAddress {
  readonly z: number;
  readonly x: number;
  readonly y: number;
}

export interface Answer<T> {
  readonly content: T;
  /** The revision that the content was made from. */
  readonly revision: number;
  /** False where the server had not finished this tile; it is asked for again after `retryUnfinished`. */
  readonly complete: boolean;
}

export interface Shown<T> extends Answer<T> {
  /** The last complete content, drawn below an unfinished one so that nothing flashes. */
  readonly below: T | null;
}

export type Fetcher<T> = (tile: TileAddress, scope: string, revision: number, signal: AbortSignal) => Promise<Answer<T>>;

export interface BoardOptions<T> {
  readonly fetch: Fetcher<T>;
  /** Called after an answer was taken in; time to draw. */
  readonly changed: () => void;
  /** Called with content that is not needed any more. */
  readonly release?: (content: T) => void;
  /** Called with an error of a tile, not with an abort. */
  readonly failed?: (error: unknown) => void;
  /** Requests under way at a time. */
  readonly parallel?: number;
  /** Tiles kept, on show or not. */
  readonly capacity?: number;
}

interface Slot<T> {
  readonly tile: TileAddress;
  readonly scope: string;
  shown: Shown<T> | null;
  /** Highest revision whose request failed: not asked for again until the next one. */
  failedRevision: number;
  /** An unfinished answer is on show and the server has more by now. */
  again: boolean;
  used: number;
}

interface Flight {
  readonly revision: number;
  readonly controller: AbortController;
}

/** Distance, in tiles, of a tile's centre to a point given in tile units of the same level. */
export function distanceTo(tile: TileAddress, focus: readonly [number, number]): number {
  return Math.hypot(tile.x + 0.5 - focus[0], tile.y + 0.5 - focus[1]);
}

/** Tiles sorted nearest to the focus first; ties keep reading order. */
export function nearestFirst(tiles: readonly TileAddress[], focus: readonly [number, number]): TileAddress[] {
  return [...tiles].sort((a, b) => distanceTo(a, focus) - distanceTo(b, focus) || a.y - b.y || a.x - b.x);
}

const keyOf = (scope: string, tile: TileAddress): string => `${scope}/${tile.z}/${tile.x}/${tile.y}`;

export class TileBoard<T> {
  private readonly slots = new Map<string, Slot<T>>();
  private readonly flights = new Map<string, Flight>();
  private wanted: TileAddress[] = [];
  private scope = "";
  private revision = 0;
  private clock = 0;

  constructor(private readonly options: BoardOptions<T>) {}

  /**
   * Say what the view needs now.
   *
   * @param scope What the tiles show, a date for one; tiles of another scope never stand in.
   * @param revision The newest revision known.
   * @param focus Where to begin, in tile units.
   */
  want(tiles: readonly TileAddress[], scope: string, revision: number, focus: readonly [number, number]): void {
    this.wanted = nearestFirst(tiles, focus);
    this.scope = scope;
    this.revision = revision;
    const keys = new Set(tiles.map((tile) => keyOf(scope, tile)));
    for (const [key, flight] of this.flights) {
      if (!keys.has(key)) {
        this.flights.delete(key);
        flight.controller.abort();
      }
    }
    this.pump();
    this.evict(keys);
  }

  /** The content to draw for a tile, of the newest revision that has arrived. */
  shown(scope: string, tile: TileAddress): Shown<T> | null {
    const slot = this.slots.get(keyOf(scope, tile));
    if (!slot) return null;
    slot.used = ++this.clock;
    return slot.shown;
  }

  /** True where every wanted tile shows the newest revision. */
  get settled(): boolean {
    return this.wanted.every((tile) => {
      const slot = this.slots.get(keyOf(this.scope, tile));
      return !!slot && this.isFresh(slot);
    });
  }

  /** Ask again for tiles that came unfinished or did not come. */
  retryUnfinished(): void {
    for (const slot of this.slots.values()) {
      slot.failedRevision = -1;
      if (slot.shown && !slot.shown.complete) slot.again = true;
    }
    this.pump();
  }

  /** Tiles on show of a scope, in the order given by their level. */
  loaded(scope: string): { tile: TileAddress; shown: Shown<T> }[] {
    const tiles: { tile: TileAddress; shown: Shown<T> }[] = [];
    for (const slot of this.slots.values()) if (slot.scope === scope && slot.shown) tiles.push({ tile: slot.tile, shown: slot.shown });
    return tiles.sort((a, b) => a.tile.z - b.tile.z);
  }

  /** Forget everything, as when another image is opened. */
  clear(): void {
    for (const flight of this.flights.values()) flight.controller.abort();
    this.flights.clear();
    for (const slot of this.slots.values()) this.release(slot);
    this.slots.clear();
    this.wanted = [];
  }

  private slot(scope: string, tile: TileAddress): Slot<T> {
    const key = keyOf(scope, tile);
    let slot = this.slots.get(key);
    if (!slot) {
      slot = { tile, scope, shown: null, failedRevision: -1, again: false, used: ++this.clock };
      this.slots.set(key, slot);
    }
    return slot;
  }

  private pump(): void {
    const parallel = this.options.parallel ?? 6;
    for (const tile of this.wanted) {
      if (this.flights.size >= parallel) return;
      const slot = this.slot(this.scope, tile);
      const key = keyOf(this.scope, tile);
      // A request under way is left to end even when a newer revision is wanted: its answer is nearer to the truth than
      // what is on show, and someone who marks fast would otherwise see nothing move.
      if (this.isFresh(slot) || slot.failedRevision >= this.revision || this.flights.has(key)) continue;
      this.launch(key, slot);
    }
  }

  private isFresh(slot: Slot<T>): boolean {
    return slot.shown !== null && slot.shown.revision >= this.revision && !slot.again;
  }

  private launch(key: string, slot: Slot<T>): void {
    const flight: Flight = { revision: this.revision, controller: new AbortController() };
    this.flights.set(key, flight);
    slot.again = false;
    this.options
      .fetch(slot.tile, slot.scope, flight.revision, flight.controller.signal)
      .then((answer) => {
        if (this.flights.get(key) !== flight) {
          this.options.release?.(answer.content);
          return;
        }
        this.flights.delete(key);
        this.accept(slot, answer);
        this.pump();
      })
      .catch((error: unknown) => {
        if (this.flights.get(key) !== flight) return;
        this.flights.delete(key);
        slot.failedRevision = flight.revision;
        this.options.failed?.(error);
        this.pump();
        this.options.changed();
      });
  }

  private accept(slot: Slot<T>, answer: Answer<T>): void {
    const before = slot.shown;
    if (before && before.revision > answer.revision) {
      this.options.release?.(answer.content);
      return;
    }
    if (answer.complete) {
      this.release(slot);
      slot.shown = { ...answer, below: null };
    } else {
      const below = before?.complete ? before.content : (before?.below ?? null);
      if (before && !before.complete) this.options.release?.(before.content);
      slot.shown = { ...answer, below };
    }
    this.options.changed();
  }

  private release(slot: Slot<T>): void {
    if (!slot.shown) return;
    this.options.release?.(slot.shown.content);
    if (slot.shown.below !== null) this.options.release?.(slot.shown.below);
    slot.shown = null;
  }

  private evict(keep: ReadonlySet<string>): void {
    const capacity = this.options.capacity ?? 256;
    if (this.slots.size <= capacity) return;
    const oldest = [...this.slots.entries()].filter(([key]) => !keep.has(key) && !this.flights.has(key)).sort((a, b) => a[1].used - b[1].used);
    for (const [key, slot] of oldest.slice(0, this.slots.size - capacity)) {
      this.release(slot);
      this.slots.delete(key);
    }
  }
}
