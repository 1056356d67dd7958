/** The map, or its confidence: tiles of the newest revision, nearest to the last mark first. */

import { api, ApiError, request } from "../core/api";
import { TileBoard, type TileAddress } from "../core/tileboard";
import type { Scene } from "../core/types";
import { CanvasLayer, type Screen } from "./canvaslayer";

export interface Wanted {
  readonly scene: Scene;
  readonly revision: number;
}

/** Tiles of a level that a view touches; clipped to the image. */
export function tilesInView(scene: Scene, z: number, tileSize: number, view: readonly [number, number, number, number]): TileAddress[] {
  const span = tileSize * 2 ** z;
  const left = Math.max(0, Math.floor(view[0] / span));
  const top = Math.max(0, Math.floor(view[1] / span));
  const right = Math.min(Math.ceil(scene.width / span), Math.ceil(view[2] / span));
  const bottom = Math.min(Math.ceil(scene.height / span), Math.ceil(view[3] / span));
  const tiles: TileAddress[] = [];
  for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) tiles.push({ z, x, y });
  return tiles;
}

/** The level whose tile pixels are nearest to screen pixels without being coarser. */
export function levelFor(resolution: number, levels: number): number {
  return Math.max(0, Math.min(levels, Math.floor(Math.log2(resolution) + 1e-9)));
}

/** Pauses before a tile that failed is asked for again; the longest is for a server in trouble. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 8000;

export class AnswerLayer extends CanvasLayer {
  private wanted: Wanted | null = null;
  private focus: readonly [number, number] | null = null;
  private stamp = 0;
  private pause = FIRST_PAUSE_MS;
  private retry: number | undefined;
  private readonly board: TileBoard<ImageBitmap>;
  private readonly settledListeners = new Set<(revision: number) => void>();

  constructor(
    private readonly kind: "map" | "confidence",
    zIndex: number,
    private readonly tileSize: () => number,
    onError: (error: unknown) => void,
  ) {
    super(`layer-${kind}`, zIndex);
    this.board = new TileBoard<ImageBitmap>({
      fetch: (tile, scope, revision, signal) => this.fetchTile(tile, scope, revision, signal),
      changed: () => this.changed(),
      release: (bitmap) => bitmap.close(),
      // Superseded and not-ready answers are part of the game: somebody else may have changed something this very moment.
      failed: (error) => {
        this.retrySoon();
        if (!(error instanceof ApiError && (error.status === 409 || error.isOffline))) onError(error);
      },
    });
  }

  /** Show this revision of this scene; null shows nothing. `focus` is where to begin, in pixel space. */
  show(wanted: Wanted | null, focus?: readonly [number, number]): void {
    if (focus) this.focus = focus;
    if (wanted?.scene.id === this.wanted?.scene.id && wanted?.revision === this.wanted?.revision) return;
    this.wanted = wanted;
    this.pause = FIRST_PAUSE_MS;
    if (!wanted) this.board.want([], "", 0, [0, 0]);
    this.changed();
  }

  /** More of the map has been computed: ask again for what came unfinished. */
  more(): void {
    this.stamp++;
    this.board.retryUnfinished();
  }

  private retrySoon(): void {
    clearTimeout(this.retry);
    this.retry = window.setTimeout(() => this.board.retryUnfinished(), this.pause);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE_MS);
  }

  /** Calls back at every frame in which all of the view shows the newest revision. */
  onSettled(listener: (revision: number) => void): void {
    this.settledListeners.add(listener);
  }

  private async fetchTile(tile: TileAddress, scope: string, revision: number, signal: AbortSignal) {
    const url = api.answerTileUrl(this.kind, scope, revision, tile.z, tile.x, tile.y);
    const response = await request(this.stamp > 0 && tile.z > 0 ? `${url}?n=${this.stamp}` : url, { signal });
    const complete = Number(response.headers.get("X-Pixelkin-Complete") ?? "1") >= 1;
    return { content: await createImageBitmap(await response.blob()), revision, complete };
  }

  protected override draw(screen: Screen): void {
    if (!this.wanted || !this.getVisible()) return;
    const { scene, revision } = this.wanted;
    const size = this.tileSize();
    const z = levelFor(screen.resolution, scene.levels);
    const tiles = tilesInView(scene, z, size, screen.view);
    const span = size * 2 ** z;
    const [left, top, right, bottom] = screen.view;
    // The last mark leads only while it is in view.
    const inView = this.focus && this.focus[0] >= left && this.focus[0] <= right && this.focus[1] >= top && this.focus[1] <= bottom;
    const focus = inView ? this.focus! : ([(left + right) / 2, (top + bottom) / 2] as const);
    this.board.want(tiles, scene.id, revision, [focus[0] / span, focus[1] / span]);

    const shown = tiles.map((tile) => this.board.shown(scene.id, tile));
    if (shown.some((entry) => entry === null)) {
      // Other levels stand in, coarse below fine, until the right one is here.
      const loaded = this.board.loaded(scene.id);
      for (const { tile, shown: entry } of loaded.reverse()) if (tile.z !== z) this.paint(screen, tile, entry.content, entry.below);
    }
    tiles.forEach((tile, i) => {
      const entry = shown[i];
      if (entry) this.paint(screen, tile, entry.content, entry.below);
    });
    if (this.board.settled) for (const listener of this.settledListeners) listener(revision);
  }

  private paint(screen: Screen, tile: TileAddress, content: ImageBitmap, below: ImageBitmap | null): void {
    const span = this.tileSize() * 2 ** tile.z;
    // Rounded corners, not rounded sizes: neighbours meet without a seam, as in OpenLayers' own tile layers.
    const x = Math.round(screen.x(tile.x * span));
    const y = Math.round(screen.y(tile.y * span));
    const width = Math.round(screen.x((tile.x + 1) * span)) - x;
    const height = Math.round(screen.y((tile.y + 1) * span)) - y;
    if (x > screen.width || y > screen.height || x + width < 0 || y + height < 0) return;
    screen.context.clearRect(x, y, width, height);
    if (below) screen.context.drawImage(below, x, y, width, height);
    screen.context.drawImage(content, x, y, width, height);
  }
}
