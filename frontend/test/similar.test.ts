import { describe, expect, it } from "vitest";

import { byteOf, countFrom, LEAST, MOST, similarityOf, thresholdOf } from "../src/similar/threshold";

describe("similarity", () => {
  it("is sent in bytes whose ends are what the server is asked for", () => {
    for (let byte = LEAST; byte <= MOST; byte++) {
      expect(byteOf(similarityOf(byte))).toBe(byte);
      const threshold = thresholdOf(byte);
      expect(threshold).toBeGreaterThan(0);
      expect(threshold).toBeLessThanOrEqual(1);
      // As the server has it.
      expect(1 + Math.floor(254 * threshold + 0.5 + 1e-6)).toBe(byte);
    }
  });

  it("is counted without what has no data", () => {
    const counts = new Array<number>(256).fill(0);
    [counts[0], counts[1], counts[100], counts[255]] = [50, 5, 3, 2];
    expect(countFrom(counts, 100)).toEqual({ found: 5, of: 10 });
    expect(countFrom(counts, 101)).toEqual({ found: 2, of: 10 });
  });
});
