/** A chip: the surroundings of a point on one date, pixel by pixel, with the point's pixel outlined. */

import { api } from "../core/api";
import { pathsOf } from "../core/geometry";
import type { Geometry, Mark, Scene } from "../core/types";

const TILE = 256;
/** Tiles kept decoded: some points of a long series. */
const KEPT = 600;

/** Tiles by address. An image decoded once is drawn again within the frame. */
class TileImages {
  private readonly images = new Map<string, { image: HTMLImageElement; ready: Promise<boolean> }>();

  get(address: string): { image: HTMLImageElement; ready: Promise<boolean> } {
    const kept = this.images.get(address);
    if (kept) {
      this.images.delete(address);
      this.images.set(address, kept);
      return kept;
    }
    const image = new Image();
    image.src = address;
    const ready = image.decode().then(
      () => true,
      () => (this.images.delete(address), false),
    );
    const entry = { image, ready };
    this.images.set(address, entry);
    if (this.images.size > KEPT) this.images.delete(this.images.keys().next().value!);
    return entry;
  }
}

const tiles = new TileImages();

export interface Window {
  readonly scene: Scene;
  readonly query: string;
  readonly row: number;
  readonly col: number;
  /** Pixels of the image a side, odd. */
  readonly span: number;
}

interface Part {
  readonly address: string;
  readonly x: number;
  readonly y: number;
  /** Image pixels that the tile covers a side. */
  readonly size: number;
}

/** The tiles that a window needs, at the level that gives it no more pixels than it can show. */
export function partsOf({ scene, query, row, col, span }: Window): Part[] {
  const z = Math.min(scene.levels, Math.max(0, Math.ceil(Math.log2(span / (2 * TILE)))));
  const size = TILE * 2 ** z;
  const half = Math.floor(span / 2);
  const within = (value: number, end: number): number => Math.max(0, Math.min(end - 1, value));
  const [left, right] = [within(col - half, scene.width), within(col + half, scene.width)];
  const [top, bottom] = [within(row - half, scene.height), within(row + half, scene.height)];
  const parts: Part[] = [];
  for (let y = Math.floor(top / size); y <= Math.floor(bottom / size); y++)
    for (let x = Math.floor(left / size); x <= Math.floor(right / size); x++) parts.push({ address: api.imageTileUrl(scene, query, z, x, y), x: x * size, y: y * size, size });
  return parts;
}

/** Fetch and decode what a window will need. */
export function prefetch(window: Window): void {
  for (const { address } of partsOf(window)) void tiles.get(address).ready;
}

export class Chip {
  readonly canvas = document.createElement("canvas");
  private turn = 0;

  /** Draw a window; true once all of it is there, false where something newer was asked for or a tile is missing. */
  async show(window: Window, marks: readonly Mark[], colorOf: (classId: number) => string | null): Promise<boolean> {
    const turn = ++this.turn;
    const parts = partsOf(window).map((part) => ({ ...part, ...tiles.get(part.address) }));
    // What is decoded shows at once, and the rest as it comes.
    this.draw(window, parts, marks, colorOf);
    if (parts.every(({ image }) => image.complete && image.naturalWidth > 0)) return true;
    const loaded = await Promise.all(parts.map(({ ready }) => ready));
    if (turn !== this.turn) return false;
    this.draw(window, parts, marks, colorOf);
    return loaded.every(Boolean);
  }

  private draw({ row, col, span }: Window, parts: readonly (Part & { image: HTMLImageElement })[], marks: readonly Mark[], colorOf: (classId: number) => string | null): void {
    const side = Math.round(this.canvas.clientWidth * devicePixelRatio) || 300;
    if (this.canvas.width !== side) this.canvas.width = this.canvas.height = side;
    const context = this.canvas.getContext("2d")!;
    const scale = side / span;
    const [left, top] = [col - Math.floor(span / 2), row - Math.floor(span / 2)];
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, side, side);
    context.imageSmoothingEnabled = false;
    for (const { image, x, y, size } of parts) {
      if (!image.complete || image.naturalWidth === 0) continue;
      context.drawImage(image, (x - left) * scale, (y - top) * scale, size * scale, size * scale);
    }
    context.lineWidth = 2 * devicePixelRatio;
    for (const mark of marks) {
      const color = mark.class_id === 0 ? null : colorOf(mark.class_id);
      if (color) outline(context, mark.geometry, color, (x, y) => [(x - left) * scale, (y - top) * scale]);
    }
    // The pixel itself stays free: a frame around it, dark in light, seen on any ground, and never too small to find.
    const frame = Math.max(scale, 7 * devicePixelRatio);
    const centre = (Math.floor(span / 2) + 0.5) * scale;
    for (const [width, color] of [[5, "#000"], [2.5, "#fff"]] as const) {
      context.lineWidth = width * devicePixelRatio;
      context.strokeStyle = color;
      context.strokeRect(centre - frame / 2 - 2 * devicePixelRatio, centre - frame / 2 - 2 * devicePixelRatio, frame + 4 * devicePixelRatio, frame + 4 * devicePixelRatio);
    }
  }
}

function outline(context: CanvasRenderingContext2D, geometry: Geometry, color: string, place: (x: number, y: number) => [number, number]): void {
  context.strokeStyle = color;
  for (const line of pathsOf(geometry)) {
    context.beginPath();
    for (const [x, y] of line) context.lineTo(...place(x, y));
    if (line.length === 1) context.arc(...place(...line[0]!), 4 * devicePixelRatio, 0, 2 * Math.PI);
    context.stroke();
  }
}
