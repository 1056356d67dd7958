/** Tiles of Web Mercator on an image's own pixel grid. */

import { meshValue, type Point } from "./geometry";
import type { LonLatMesh, Scene } from "./types";

/** Half the width of the world in EPSG:3857, metres. */
const HALF = 20037508.342789244;
const DEEPEST = 22;
const MOST_TILES = 150;

export interface WorldTile {
  readonly z: number;
  readonly x: number;
  readonly y: number;
}

/** The world as a square from (0, 0), north-west, to (1, 1). */
export function toWorld(lon: number, lat: number): Point {
  const sin = Math.sin((Math.max(-85.0511, Math.min(85.0511, lat)) * Math.PI) / 180);
  return [lon / 360 + 0.5, 0.5 - Math.log((1 + sin) / (1 - sin)) / (4 * Math.PI)];
}

export function worldOf(mesh: LonLatMesh, [x, y]: Point): Point {
  return toWorld(meshValue(mesh.cols, mesh.rows, mesh.lon, x, y), meshValue(mesh.cols, mesh.rows, mesh.lat, x, y));
}

/** Where a point of the world lies in pixel space: Newton's method, for images are all but straight. */
export function pixelOf(mesh: LonLatMesh, size: Pick<Scene, "width" | "height">, world: Point): Point {
  let [x, y] = [size.width / 2, size.height / 2];
  for (let step = 0; step < 12; step++) {
    const h = Math.max(size.width, size.height) / 64;
    const [at, right, down] = [worldOf(mesh, [x, y]), worldOf(mesh, [x + h, y]), worldOf(mesh, [x, y + h])];
    const [a, b, c, d] = [(right[0] - at[0]) / h, (down[0] - at[0]) / h, (right[1] - at[1]) / h, (down[1] - at[1]) / h];
    const det = a * d - b * c;
    const [u, v] = [world[0] - at[0], world[1] - at[1]];
    const [dx, dy] = [(d * u - b * v) / det, (a * v - c * u) / det];
    [x, y] = [x + dx, y + dy];
    if (Math.hypot(dx, dy) < 0.01) break;
  }
  return [x, y];
}

/** The tiles that a view touches, at the level whose pixels are nearest to the screen's without being finer than twice. */
export function worldTiles(mesh: LonLatMesh, view: readonly [number, number, number, number], resolution: number): WorldTile[] {
  const [left, top, right, bottom] = view;
  const edge = [0, 0.25, 0.5, 0.75, 1].flatMap((s): Point[] => [[left + s * (right - left), top], [left + s * (right - left), bottom], [left, top + s * (bottom - top)], [right, top + s * (bottom - top)]]);
  const points = edge.map((point) => worldOf(mesh, point));
  const [xs, ys] = [points.map((point) => point[0]), points.map((point) => point[1])];
  const bounds = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)] as const;
  const middle: Point = [(left + right) / 2, (top + bottom) / 2];
  const [one, other] = [worldOf(mesh, middle), worldOf(mesh, [middle[0] + 1, middle[1]])];
  const perScreenPixel = Math.hypot(other[0] - one[0], other[1] - one[1]) * resolution;
  for (let z = Math.max(0, Math.min(DEEPEST, Math.round(Math.log2(1 / (256 * perScreenPixel))))); z >= 0; z--) {
    const n = 2 ** z;
    const [x0, y0, x1, y1] = bounds.map((value) => Math.floor(value * n)) as [number, number, number, number];
    const [first, last] = [Math.max(0, y0), Math.min(n - 1, y1)];
    if ((x1 - x0 + 1) * (last - first + 1) > MOST_TILES) continue;
    const tiles: WorldTile[] = [];
    for (let y = first; y <= last; y++) for (let x = x0; x <= x1; x++) tiles.push({ z, x, y });
    return tiles;
  }
  return [];
}

export function tileUrl(address: string, { z, x, y }: WorldTile): string {
  const n = 2 ** z;
  const column = ((x % n) + n) % n;
  const span = (2 * HALF) / n;
  const box = [column * span - HALF, HALF - (y + 1) * span, (column + 1) * span - HALF, HALF - y * span];
  return address.replace("{z}", String(z)).replace("{x}", String(column)).replace("{y}", String(y)).replace("{bbox}", box.join(","));
}
