/** Moving and reshaping a mark: where its corners are, what a point hits, and what a drag makes of it. */

import { boundsOf, boxRing, pathsOf, pixelCentre, type Point } from "./geometry";
import type { Geometry, Mark } from "./types";

/** What of a mark is in hand: all of it, a corner, or the middle of a side, where a new corner comes. */
export type Grip = { readonly kind: "whole" } | { readonly kind: "corner" | "side"; readonly path: number; readonly index: number };

const round = (value: number): number => Math.round(value * 100) / 100;

/** The same geometry along other lines. */
function along(geometry: Geometry, paths: readonly (readonly Point[])[]): Geometry {
  const lines = paths.map((path) => path.map(([x, y]): [number, number] => [x, y]));
  switch (geometry.type) {
    case "Point":
      return { ...geometry, coordinates: lines[0]![0]! };
    case "MultiPoint":
      return { ...geometry, coordinates: lines.map((line) => line[0]!) };
    case "LineString":
      return { ...geometry, coordinates: lines[0]! };
    case "MultiLineString":
    case "Polygon":
      return { ...geometry, coordinates: lines };
    case "MultiPolygon": {
      let at = 0;
      return { ...geometry, coordinates: geometry.coordinates.map((polygon) => polygon.map(() => lines[at++]!)) };
    }
  }
}

const isArea = (geometry: Geometry): boolean => geometry.type === "Polygon" || geometry.type === "MultiPolygon";

/** Corners that can be taken, and the middles of sides where one can be added; a point is moved as a whole, and a box keeps its four. */
export function gripsOf(mark: Pick<Mark, "kind" | "geometry">): { readonly grip: Grip; readonly at: Point }[] {
  const { geometry } = mark;
  if (geometry.type === "Point" || geometry.type === "MultiPoint") return [];
  const ring = isArea(geometry);
  return pathsOf(geometry).flatMap((points, path) => {
    const corners = (ring ? points.slice(0, -1) : points).map((at, index) => ({ grip: { kind: "corner", path, index } as const, at }));
    if (mark.kind === "box") return corners;
    const sides = points.slice(1).map((to, index) => ({ grip: { kind: "side", path, index } as const, at: [(points[index]![0] + to[0]) / 2, (points[index]![1] + to[1]) / 2] as const }));
    return [...corners, ...sides];
  });
}

const distance = (a: Point, b: Point): number => Math.hypot(a[0] - b[0], a[1] - b[1]);

/** The grip nearest to a point, no farther than `reach` pixels; corners before sides. */
export function gripAt(mark: Pick<Mark, "kind" | "geometry">, point: Point, reach: number): Grip | null {
  const near = gripsOf(mark).filter(({ at }) => distance(at, point) <= reach);
  const best = near.sort((a, b) => Number(a.grip.kind === "side") - Number(b.grip.kind === "side") || distance(a.at, point) - distance(b.at, point))[0];
  return best?.grip ?? null;
}

function toSegment(point: Point, from: Point, to: Point): number {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = dx * dx + dy * dy;
  const share = length === 0 ? 0 : Math.max(0, Math.min(1, ((point[0] - from[0]) * dx + (point[1] - from[1]) * dy) / length));
  return distance(point, [from[0] + share * dx, from[1] + share * dy]);
}

/** True where a point lies on a mark, or within `reach` pixels of it. */
export function hits(mark: Pick<Mark, "geometry" | "brush_px">, point: Point, reach: number): boolean {
  const paths = pathsOf(mark.geometry);
  const wide = Math.max(reach, mark.brush_px / 2);
  const isNear = paths.some((path) => path.some((one, i) => (i === 0 ? distance(point, one) : toSegment(point, path[i - 1]!, one)) <= wide));
  if (isNear || !isArea(mark.geometry)) return isNear;
  let inside = false;
  for (const path of paths) {
    for (let i = 1; i < path.length; i++) {
      const [a, b] = [path[i - 1]!, path[i]!];
      if (a[1] > point[1] !== b[1] > point[1] && point[0] < ((b[0] - a[0]) * (point[1] - a[1])) / (b[1] - a[1]) + a[0]) inside = !inside;
    }
  }
  return inside;
}

/** The geometry after a drag from one point to another. What covers whole pixels goes on doing so. */
export function dragged(mark: Pick<Mark, "kind" | "geometry" | "brush_px">, grip: Grip, from: Point, to: Point): Geometry {
  const { geometry, kind } = mark;
  const paths = pathsOf(geometry);
  if (grip.kind === "whole") {
    const inSteps = kind === "box" || kind === "point";
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]].map((value) => (inSteps ? Math.round(value) : value)) as [number, number];
    return along(geometry, paths.map((path) => path.map(([x, y]): Point => [round(x + dx), round(y + dy)])));
  }
  const path = paths[grip.path]!;
  if (kind === "box" && path.length === 5) {
    const [left, top, right, bottom] = boundsOf(geometry);
    const [x, y] = path[grip.index]!;
    // The corner across stays; its pixel is the one inside the box.
    const across: Point = [x === left ? right - 0.5 : left + 0.5, y === top ? bottom - 0.5 : top + 0.5];
    return along(geometry, [boxRing(across, pixelCentre(to))]);
  }
  const target: Point = [round(to[0]), round(to[1])];
  const moved = [...path];
  if (grip.kind === "side") moved.splice(grip.index + 1, 0, target);
  else {
    moved[grip.index] = target;
    if (isArea(geometry) && grip.index === 0) moved[moved.length - 1] = target;
  }
  return along(geometry, paths.map((one, i) => (i === grip.path ? moved : one)));
}

/** The geometry without a corner; null where too few would be left. */
export function withoutCorner(mark: Pick<Mark, "kind" | "geometry">, grip: Grip): Geometry | null {
  const { geometry, kind } = mark;
  if (grip.kind !== "corner" || kind === "box") return null;
  const paths = pathsOf(geometry);
  const path = paths[grip.path]!;
  const ring = isArea(geometry);
  if (path.length <= (ring ? 4 : 2)) return null;
  const left = (ring ? path.slice(0, -1) : path).filter((_, i) => i !== grip.index);
  return along(geometry, paths.map((one, i) => (i === grip.path ? (ring ? [...left, left[0]!] : left) : one)));
}
