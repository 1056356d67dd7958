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

/** Asks for tiles of one level, the most wanted first; `deliver` is called with each as it arrives, in any order. */
export type Fetcher<T> = (
  tiles: readonly TileAddress[],
  scope: string,
  revision: number,
  signal: AbortSignal,
  deliver: (tile: TileAddress, answer: Answer<T>) => void,
) => Promise<void>;

export interface BoardOptions<T> {
  readonly fetch: Fetcher<T>;
  /** Called after an answer was taken in, with its tile; time to draw. */
  readonly changed: (tile: TileAddress) => void;
  /** Called with content that is not needed any more. */
  readonly release?: (content: T) => void;
  /** Called with the error of a request, not with an abort; with null where an answer ended before all tiles were there. */
  readonly failed?: (error: unknown) => void;
  /** Requests under way at a time. */
  readonly parallel?: number;
  /** Tiles a request. */
  readonly batch?: number;
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

interface Flight<T> {
  readonly revision: number;
  readonly controller: AbortController;
  /** Something has arrived: the server has not refused it. */
  answered: boolean;
  /** What has not arrived yet. */
  readonly open: Map<string, Slot<T>>;
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
  private readonly flights = new Set<Flight<T>>();
  private wanted: TileAddress[] = [];
  private scope = "";
  private revision = 0;
  private clock = 0;
  private held = false;

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
    // What else such a request was to bring is asked for again, without what went out of view.
    for (const flight of this.flights) if ([...flight.open.keys()].some((key) => !keys.has(key))) this.callOff(flight);
    this.pump();
    this.evict(keys);
  }

  /** Ask for nothing for a while: a change is on its way, and the server would refuse tiles of what it supersedes. */
  hold(held: boolean): void {
    this.held = held;
    if (held) for (const flight of this.flights) if (!flight.answered) this.callOff(flight);
    this.pump();
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
    for (const flight of this.flights) this.callOff(flight);
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
    if (this.held) return;
    const { parallel = 2, batch = 64 } = this.options;
    // A request under way is left to end even when a newer revision is wanted: its answers are nearer to the truth than
    // what is on show, and someone who marks fast would otherwise see nothing move.
    const flying = new Set([...this.flights].flatMap((flight) => [...flight.open.keys()]));
    const missing = this.wanted.filter((tile) => {
      const slot = this.slot(this.scope, tile);
      return !this.isFresh(slot) && slot.failedRevision < this.revision && !flying.has(keyOf(this.scope, tile));
    });
    while (missing.length > 0 && this.flights.size < parallel) this.launch(missing.splice(0, batch));
  }

  private callOff(flight: Flight<T>): void {
    this.flights.delete(flight);
    flight.controller.abort();
  }

  private isFresh(slot: Slot<T>): boolean {
    return slot.shown !== null && slot.shown.revision >= this.revision && !slot.again;
  }

  private launch(tiles: readonly TileAddress[]): void {
    const scope = this.scope;
    const slots = tiles.map((tile) => [keyOf(scope, tile), this.slot(scope, tile)] as const);
    const flight: Flight<T> = { revision: this.revision, controller: new AbortController(), answered: false, open: new Map(slots) };
    this.flights.add(flight);
    for (const [, slot] of slots) slot.again = false;
    const deliver = (tile: TileAddress, answer: Answer<T>): void => {
      const slot = flight.open.get(keyOf(scope, tile));
      if (!this.flights.has(flight) || !slot) {
        this.options.release?.(answer.content);
        return;
      }
      flight.answered = true;
      flight.open.delete(keyOf(scope, tile));
      this.accept(slot, answer);
    };
    const over = (error: unknown): void => {
      if (!this.flights.delete(flight)) return;
      for (const slot of flight.open.values()) slot.failedRevision = flight.revision;
      if (flight.open.size > 0) this.options.failed?.(error);
      this.pump();
    };
    this.options.fetch(tiles, scope, flight.revision, flight.controller.signal, deliver).then(() => over(null), over);
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
    this.options.changed(slot.tile);
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
    const flying = new Set([...this.flights].flatMap((flight) => [...flight.open.keys()]));
    const oldest = [...this.slots.entries()].filter(([key]) => !keep.has(key) && !flying.has(key)).sort((a, b) => a[1].used - b[1].used);
    for (const [key, slot] of oldest.slice(0, this.slots.size - capacity)) {
      this.release(slot);
      this.slots.delete(key);
    }
  }
}
