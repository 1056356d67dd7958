import { describe, expect, it } from "vitest";

import { filterMarks } from "../src/marks/filter";
import type { Mark } from "../src/core/types";

const mark = (id: string, class_id: number, order: number, pixels: number): Mark => ({
  id, class_id, order, pixels, scene: "a", kind: "point", geometry: { type: "Point", coordinates: [0, 0] }, brush_px: 1, author: "", labels: pixels,
});
const marks = [mark("a", 1, 1, 5), mark("b", 2, 2, 1), mark("c", 1, 3, 9), mark("d", 0, 4, 2)];
const ids = (found: readonly Mark[]): string => found.map(({ id }) => id).join("");

describe("the list of marks", () => {
  it("is sorted by when, class or size", () => {
    expect(ids(filterMarks(marks, { classId: null, suspect: false, order: "newest" }, []))).toBe("dcba");
    expect(ids(filterMarks(marks, { classId: null, suspect: false, order: "class" }, []))).toBe("dcab");
    expect(ids(filterMarks(marks, { classId: null, suspect: false, order: "size" }, []))).toBe("cadb");
  });

  it("is of one class, the eraser's too, or of those to check", () => {
    expect(ids(filterMarks(marks, { classId: 1, suspect: false, order: "newest" }, []))).toBe("ca");
    expect(ids(filterMarks(marks, { classId: 0, suspect: false, order: "newest" }, []))).toBe("d");
    const doubt = { scene: "a", mark: "b", row: 0, col: 0, class_id: 2, predicted: 1, labels: 1 };
    expect(ids(filterMarks(marks, { classId: null, suspect: true, order: "newest" }, [doubt]))).toBe("b");
  });
});
