/** Marks as geometry in pixel space: x = column, y = row downwards. */

import type { Geometry, MarkKind } from "./types";

export type Point = readonly [number, number];

const round = (value: number): number => Math.round(value * 100) / 100;

/** The centre of the pixel that a point lies in. */
export function pixelCentre([x, y]: Point): [number, number] {
  return [Math.floor(x) + 0.5, Math.floor(y) + 0.5];
}

/** Whole-pixel box around two corners, in any order: every pixel touched by the drag belongs to it. */
export function boxRing(from: Point, to: Point): [number, number][] {
  const left = Math.floor(Math.min(from[0], to[0]));
  const top = Math.floor(Math.min(from[1], to[1]));
  const right = Math.floor(Math.max(from[0], to[0])) + 1;
  const bottom = Math.floor(Math.max(from[1], to[1])) + 1;
  return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]];
}

/** Drop points of a stroke that lie within a tenth of a pixel of the line through their neighbours (Douglas-Peucker). */
export function simplify(points: readonly Point[], tolerance = 0.1): [number, number][] {
  const keep = new Uint8Array(points.length);
  keep[0] = 1;
  keep[points.length - 1] = 1;
  const stack: [number, number][] = [[0, points.length - 1]];
  for (let range = stack.pop(); range; range = stack.pop()) {
    const [first, last] = range;
    let farthest = 0;
    let index = -1;
    for (let i = first + 1; i < last; i++) {
      const distance = segmentDistance(points[i]!, points[first]!, points[last]!);
      if (distance > farthest) [farthest, index] = [distance, i];
    }
    if (farthest > tolerance) {
      keep[index] = 1;
      stack.push([first, index], [index, last]);
    }
  }
  return points.filter((_, i) => keep[i]).map(([x, y]) => [round(x), round(y)]);
}

function segmentDistance(point: Point, from: Point, to: Point): number {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : Math.max(0, Math.min(1, ((point[0] - from[0]) * dx + (point[1] - from[1]) * dy) / length));
  return Math.hypot(point[0] - from[0] - along * dx, point[1] - from[1] - along * dy);
}

/** The geometry of a finished gesture, or null where it marks nothing (a polygon of two points). */
export function finishedGeometry(kind: MarkKind, points: readonly Point[]): Geometry | null {
  const first = points[0];
  const last = points[points.length - 1];
  if (!first || !last) return null;
  switch (kind) {
    case "point":
      return { type: "Point", coordinates: pixelCentre(first) };
    case "scribble": {
      const line = simplify(points);
      return line.some(([x, y]) => x !== line[0]![0] || y !== line[0]![1]) ? { type: "LineString", coordinates: line } : { type: "Point", coordinates: [round(first[0]), round(first[1])] };
    }
    case "box":
      return { type: "Polygon", coordinates: [boxRing(first, last)] };
    case "polygon": {
      const ring = points.filter((point, i) => i === 0 || point[0] !== points[i - 1]![0] || point[1] !== points[i - 1]![1]);
      if (ring.length < 3) return null;
      return { type: "Polygon", coordinates: [[...ring, first].map(([x, y]) => [round(x), round(y)])] };
    }
  }
}

/** The lines of a geometry; those of polygons are rings, whose last point is their first. */
export function pathsOf(geometry: Geometry): readonly (readonly Point[])[] {
  switch (geometry.type) {
    case "Point":
      return [[geometry.coordinates]];
    case "MultiPoint":
      return geometry.coordinates.map((point) => [point]);
    case "LineString":
      return [geometry.coordinates];
    case "MultiLineString":
    case "Polygon":
      return geometry.coordinates;
    case "MultiPolygon":
      return geometry.coordinates.flat();
  }
}

/** Left, top, right, bottom. */
export function boundsOf(geometry: Geometry): [number, number, number, number] {
  const points = pathsOf(geometry).flat();
  const xs = points.map((point) => point[0]);
  const ys = points.map((point) => point[1]);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** Middle of the bounds: where the repaint begins. */
export function centreOf(geometry: Geometry): [number, number] {
  const [left, top, right, bottom] = boundsOf(geometry);
  return [(left + right) / 2, (top + bottom) / 2];
}

/** Bilinear value of a mesh given at sorted positions; outside it the edge cell's plane goes on. */
export function meshValue(xs: readonly number[], ys: readonly number[], values: readonly (readonly number[])[], x: number, y: number): number {
  const cell = (positions: readonly number[], value: number): [number, number] => {
    let i = 0;
    while (i < positions.length - 2 && value >= positions[i + 1]!) i++;
    const [low, high] = [positions[i]!, positions[i + 1]!];
    return [i, high === low ? 0 : (value - low) / (high - low)];
  };
  const [i, u] = cell(xs, x);
  const [j, v] = cell(ys, y);
  const at = (row: number, col: number): number => values[row]![col]!;
  return (1 - v) * ((1 - u) * at(j, i) + u * at(j, i + 1)) + v * ((1 - u) * at(j + 1, i) + u * at(j + 1, i + 1));
}
