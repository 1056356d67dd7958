import { describe, expect, it } from "vitest";

import { dragged, gripAt, gripsOf, hits, withoutCorner } from "../src/core/reshape";
import type { Mark } from "../src/core/types";

type Part = Pick<Mark, "kind" | "geometry" | "brush_px">;
const point: Part = { kind: "point", brush_px: 1, geometry: { type: "Point", coordinates: [3.5, 4.5] } };
const line: Part = { kind: "scribble", brush_px: 4, geometry: { type: "LineString", coordinates: [[0, 0], [10, 0]] } };
const box: Part = { kind: "box", brush_px: 1, geometry: { type: "Polygon", coordinates: [[[2, 2], [6, 2], [6, 5], [2, 5], [2, 2]]] } };
const triangle: Part = { kind: "polygon", brush_px: 1, geometry: { type: "Polygon", coordinates: [[[0, 0], [10, 0], [0, 10], [0, 0]]] } };

describe("a mark in hand", () => {
  it("is hit on its line as wide as its brush, inside its area, and near its corners", () => {
    expect([hits(line, [5, 1.9], 0.5), hits(line, [5, 2.1], 0.5), hits(line, [5, 2.1], 3)]).toEqual([true, false, true]);
    expect([hits(triangle, [2, 2], 0), hits(triangle, [6, 6], 0)]).toEqual([true, false]);
    expect(gripAt(triangle, [9.5, 0.2], 1)).toEqual({ kind: "corner", path: 0, index: 1 });
    expect(gripAt(triangle, [5, 0.2], 1)).toEqual({ kind: "side", path: 0, index: 0 });
    expect(gripAt(triangle, [3, 3], 1)).toBeNull();
    expect(gripsOf(point)).toEqual([]);
    expect(gripsOf(box).map(({ grip }) => grip.kind)).toEqual(["corner", "corner", "corner", "corner"]);
  });

  it("moves as a whole; points and boxes by whole pixels", () => {
    const whole = { kind: "whole" } as const;
    expect(dragged(point, whole, [3.5, 4.5], [5.2, 4.4]).coordinates).toEqual([5.5, 4.5]);
    expect(dragged(box, whole, [3, 3], [4.4, 1.6]).coordinates).toEqual([[[3, 1], [7, 1], [7, 4], [3, 4], [3, 1]]]);
    expect(dragged(line, whole, [0, 0], [0.25, 1]).coordinates).toEqual([[0.25, 1], [10.25, 1]]);
  });

  it("keeps a box a box whichever corner goes where", () => {
    for (const [index, to, bounds] of [[0, [0.5, 0.5], [0, 0, 6, 5]], [2, [8.2, 9.9], [2, 2, 9, 10]], [1, [0.4, 3.4], [0, 3, 3, 5]]] as const) {
      const ring = (dragged(box, { kind: "corner", path: 0, index }, [0, 0], to).coordinates as number[][][])[0]!;
      expect([ring[0]![0], ring[0]![1], ring[2]![0], ring[2]![1]]).toEqual(bounds);
    }
  });

  it("gets and loses corners, and its ring stays closed", () => {
    const moved = dragged(triangle, { kind: "corner", path: 0, index: 0 }, [0, 0], [1, 1]);
    expect(moved.coordinates).toEqual([[[1, 1], [10, 0], [0, 10], [1, 1]]]);
    const more = dragged(triangle, { kind: "side", path: 0, index: 2 }, [0, 5], [-3, 5]);
    expect(more.coordinates).toEqual([[[0, 0], [10, 0], [0, 10], [-3, 5], [0, 0]]]);
    expect(withoutCorner({ ...triangle, geometry: more }, { kind: "corner", path: 0, index: 0 })!.coordinates).toEqual([[[10, 0], [0, 10], [-3, 5], [10, 0]]]);
    expect(withoutCorner(triangle, { kind: "corner", path: 0, index: 0 })).toBeNull();
    expect(withoutCorner(line, { kind: "corner", path: 0, index: 0 })).toBeNull();
  });
});
