/** The map, or its confidence: tiles of the newest revision, nearest to the last mark first. */

import { api, ApiError, request } from "../core/api";
import { type Answer, TileBoard, type TileAddress } from "../core/tileboard";
import type { Scene } from "../core/types";
import { CanvasLayer, type Screen } from "./canvaslayer";

/** Colours of a tile's bytes, as ImageData wants them; the first is transparent. */
export type Palette = Uint32Array;

export function paletteOf(colors: Iterable<readonly [number, string]>): Palette {
  const palette = new Uint32Array(256);
  const bytes = new Uint8ClampedArray(palette.buffer);
  for (const [index, color] of colors) {
    const value = parseInt(color.slice(1), 16);
    if (index > 0) bytes.set([value >> 16, (value >> 8) & 255, value & 255, 255], index * 4);
  }
  return palette;
}

/** x, y and completeness before the bytes of a tile. */
const HEADER_BYTES = 12;
const MOST_SPARE = 64;

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
/** Between drawings of a map that is arriving: a frame takes time from the server on the same machine. */
const STEP_MS = 50;

/** Cut a stream into records of one size as they arrive. */
async function eachRecord(stream: ReadableStream<Uint8Array>, size: number, take: (record: Uint8Array) => void): Promise<void> {
  const reader = stream.getReader();
  const record = new Uint8Array(size);
  let filled = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    for (let from = 0; from < part.value.length; ) {
      const some = part.value.subarray(from, from + size - filled);
      record.set(some, filled);
      filled += some.length;
      from += some.length;
      if (filled === size) {
        take(record);
        filled = 0;
      }
    }
  }
}

export class AnswerLayer extends CanvasLayer {
  private wanted: Wanted | null = null;
  private focus: readonly [number, number] | null = null;
  private pause = FIRST_PAUSE_MS;
  private retry: number | undefined;
  /** Arrived and not drawn yet. */
  private readonly arrived: TileAddress[] = [];
  private step: number | undefined;
  private drawnAt = 0;
  private readonly board: TileBoard<HTMLCanvasElement>;
  /** Canvases that are not on show any more: making one costs more than filling it. */
  private readonly spare: HTMLCanvasElement[] = [];
  /** What canvases were coloured from, of a layer whose colours change. */
  private readonly bytes = new WeakMap<HTMLCanvasElement, Uint8Array>();
  private readonly settledListeners = new Set<(revision: number) => void>();

  constructor(
    private readonly layer: "classes" | "confidence" | "similarity",
    zIndex: number,
    private readonly tileSize: () => number,
    private readonly palette: () => Promise<Palette>,
    onError: (error: unknown) => void,
  ) {
    super(layer === "classes" ? "layer-map" : `layer-${layer}`, zIndex);
    this.board = new TileBoard<HTMLCanvasElement>({
      fetch: (tiles, scope, revision, signal, deliver) => this.fetchTiles(tiles, scope, revision, signal, deliver),
      changed: (tile) => this.drawArrived(tile),
      release: (canvas) => this.spare.length < MOST_SPARE && this.spare.push(canvas),
      // Superseded and not-ready answers are part of the game: somebody else may have changed something this very moment.
      failed: (error) => {
        this.retrySoon();
        if (error !== null && !(error instanceof ApiError && (error.status === 409 || error.isOffline))) onError(error);
      },
    });
  }

  /** Show this revision of this scene; null shows nothing. `focus` is where to begin, in pixel space. */
  show(wanted: Wanted | null, focus?: readonly [number, number]): void {
    if (focus) this.focus = focus;
    if (wanted?.scene.id === this.wanted?.scene.id && wanted?.revision === this.wanted?.revision) return;
    const isSameScene = wanted?.scene.id === this.wanted?.scene.id;
    this.wanted = wanted;
    this.pause = FIRST_PAUSE_MS;
    if (!wanted) this.board.want([], "", 0, [0, 0]);
    // Asked for at once, because the next frame is some milliseconds away; what is on show stays until the answer.
    if (wanted && this.screen && isSameScene && this.getVisible()) this.ask(this.screen, wanted);
    else this.refresh();
  }

  /** More of the map has been computed: ask again for what came unfinished. */
  more(): void {
    this.board.retryUnfinished();
  }

  /** Ask for nothing while a change is on its way to the server. */
  hold(held: boolean): void {
    this.board.hold(held);
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

  private async fetchTiles(
    tiles: readonly TileAddress[], scope: string, revision: number, signal: AbortSignal, deliver: (tile: TileAddress, answer: Answer<HTMLCanvasElement>) => void,
  ): Promise<void> {
    const { z } = tiles[0]!;
    const side = this.tileSize();
    const [response, palette] = await Promise.all([request(api.answerTilesUrl(this.layer, scope, revision, z, tiles), { signal }), this.palette()]);
    await eachRecord(response.body!, HEADER_BYTES + side * side, (record) => {
      const header = new DataView(record.buffer, record.byteOffset, HEADER_BYTES);
      const tile = { z, x: header.getUint32(0, true), y: header.getUint32(4, true) };
      deliver(tile, { content: this.coloured(record.subarray(HEADER_BYTES), side, palette), revision, complete: header.getFloat32(8, true) >= 1 });
    });
  }

  private coloured(bytes: Uint8Array, side: number, palette: Palette): HTMLCanvasElement {
    const canvas = this.spare.pop() ?? document.createElement("canvas");
    if (canvas.width !== side || canvas.height !== side) canvas.width = canvas.height = side;
    if (this.layer === "similarity") this.bytes.set(canvas, bytes.slice());
    this.colour(canvas, bytes, side, palette);
    return canvas;
  }

  /** Show what is there in other colours. */
  async recolour(): Promise<void> {
    const [palette, side] = [await this.palette(), this.tileSize()];
    if (!this.wanted) return;
    for (const { shown } of this.board.loaded(this.wanted.scene.id)) {
      for (const canvas of [shown.content, shown.below]) {
        const bytes = canvas && this.bytes.get(canvas);
        if (bytes) this.colour(canvas, bytes, side, palette);
      }
    }
    this.refresh();
  }

  private colour(canvas: HTMLCanvasElement, bytes: Uint8Array, side: number, palette: Palette): void {
    const context = canvas.getContext("2d")!;
    const image = context.createImageData(side, side);
    const pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = palette[bytes[i]!]!;
    context.putImageData(image, 0, 0);
  }

  /** Tell the board what the screen shows; returns the tiles. */
  private ask(screen: Screen, { scene, revision }: Wanted): TileAddress[] {
    const size = this.tileSize();
    const z = levelFor(screen.resolution, scene.levels);
    const tiles = tilesInView(scene, z, size, screen.view);
    const span = size * 2 ** z;
    const [left, top, right, bottom] = screen.view;
    // The last mark leads only while it is in view.
    const inView = this.focus && this.focus[0] >= left && this.focus[0] <= right && this.focus[1] >= top && this.focus[1] <= bottom;
    const focus = inView ? this.focus! : ([(left + right) / 2, (top + bottom) / 2] as const);
    this.board.want(tiles, scene.id, revision, [focus[0] / span, focus[1] / span]);
    return tiles;
  }

  /** Draw tiles that have just arrived: the first at once, the last at once, and those between in few steps. */
  private drawArrived(tile: TileAddress): void {
    this.arrived.push(tile);
    const wait = this.drawnAt + STEP_MS - performance.now();
    if (wait <= 0 || this.board.settled) this.drawAllArrived();
    else this.step ??= window.setTimeout(() => this.drawAllArrived(), wait);
  }

  private drawAllArrived(): void {
    clearTimeout(this.step);
    this.step = undefined;
    this.drawnAt = performance.now();
    const tiles = this.arrived.splice(0);
    if (!this.wanted || !this.screen || !this.getVisible()) return;
    const { scene, revision } = this.wanted;
    const z = levelFor(this.screen.resolution, scene.levels);
    if (tiles.some((tile) => tile.z !== z)) return this.refresh();
    this.onScreen((screen) => {
      for (const tile of tiles) {
        const entry = this.board.shown(scene.id, tile);
        if (entry) this.paint(screen, tile, entry.content, entry.below);
      }
    });
    this.tellSettled(revision);
  }

  private tellSettled(revision: number): void {
    if (this.board.settled) for (const listener of this.settledListeners) listener(revision);
  }

  protected override draw(screen: Screen): void {
    if (!this.wanted || !this.getVisible()) return;
    const { scene, revision } = this.wanted;
    const tiles = this.ask(screen, this.wanted);
    const shown = tiles.map((tile) => this.board.shown(scene.id, tile));
    if (shown.some((entry) => entry === null)) {
      // Other levels stand in, coarse below fine, until the right one is here.
      const z = levelFor(screen.resolution, scene.levels);
      const loaded = this.board.loaded(scene.id);
      for (const { tile, shown: entry } of loaded.reverse()) if (tile.z !== z) this.paint(screen, tile, entry.content, entry.below);
    }
    tiles.forEach((tile, i) => {
      const entry = shown[i];
      if (entry) this.paint(screen, tile, entry.content, entry.below);
    });
    this.tellSettled(revision);
  }

  private paint(screen: Screen, tile: TileAddress, content: HTMLCanvasElement, below: HTMLCanvasElement | null): void {
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
