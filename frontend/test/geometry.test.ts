import { describe, expect, it } from "vitest";

import { formatCoordinate, formatDegrees, scaleBar, toCrs } from "../src/core/geo";
import { boxRing, centreOf, finishedGeometry, meshValue, simplify } from "../src/core/geometry";
import { pictureQuery, presets } from "../src/core/picture";
import type { Scene } from "../src/core/types";
import { levelFor, tilesInView } from "../src/map/answerlayer";

describe("marks", () => {
  it("puts a point at the centre of the pixel that was clicked, the first and the last one too", () => {
    expect(finishedGeometry("point", [[0.01, 0.99]])).toEqual({ type: "Point", coordinates: [0.5, 0.5] });
    expect(finishedGeometry("point", [[379.99, 376.01]])).toEqual({ type: "Point", coordinates: [379.5, 376.5] });
  });

  it("makes a box of whole pixels, whichever corner came first", () => {
    const ring = [[2, 3], [6, 3], [6, 5], [2, 5], [2, 3]];
    expect(boxRing([2.2, 3.7], [5.1, 4.5])).toEqual(ring);
    expect(boxRing([5.1, 4.5], [2.2, 3.7])).toEqual(ring);
  });

  it("closes polygons, leaves out doubled corners, and refuses two points", () => {
    expect(finishedGeometry("polygon", [[0, 0], [4, 0], [4, 4], [4, 4]])).toEqual({ type: "Polygon", coordinates: [[[0, 0], [4, 0], [4, 4], [0, 0]]] });
    expect(finishedGeometry("polygon", [[0, 0], [4, 0], [4, 0]])).toBeNull();
  });

  it("keeps a scribble's shape within a tenth of a pixel", () => {
    const circle = Array.from({ length: 400 }, (_, i) => [20 * Math.cos(i / 70), 20 * Math.sin(i / 70)] as const);
    const line = simplify(circle);
    expect(line.length).toBeLessThan(60);
    for (let i = 1; i < line.length; i++) {
      const middle = [(line[i]![0] + line[i - 1]![0]) / 2, (line[i]![1] + line[i - 1]![1]) / 2] as const;
      expect(Math.abs(Math.hypot(...middle) - 20)).toBeLessThan(0.12);
    }
  });

  it("takes a scribble that did not move for a dot of the brush's size", () => {
    expect(finishedGeometry("scribble", [[3.2, 4.1], [3.2, 4.1]])).toEqual({ type: "Point", coordinates: [3.2, 4.1] });
    expect(finishedGeometry("scribble", [[3.2, 4.1]])).toEqual({ type: "Point", coordinates: [3.2, 4.1] });
  });

  it("begins the repaint in the middle of the mark", () => {
    expect(centreOf({ type: "Polygon", coordinates: [boxRing([0, 0], [9, 3])] })).toEqual([5, 2]);
  });
});

describe("tiles", () => {
  const scene = { width: 1000, height: 300, levels: 2 } as Scene;

  it("covers the view and not a tile more, clipped to the image", () => {
    expect(tilesInView(scene, 0, 256, [250, -50, 520, 290]).map(({ x, y }) => [x, y])).toEqual([[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]);
    expect(tilesInView(scene, 2, 256, [-5000, -5000, 5000, 5000])).toEqual([{ z: 2, x: 0, y: 0 }]);
    expect(tilesInView(scene, 0, 256, [2000, 0, 2500, 200])).toEqual([]);
  });

  it("takes full resolution from 1:1 on, and never a coarser one than the screen", () => {
    expect([1 / 64, 1, 1.9, 2, 3.99, 4, 64].map((resolution) => levelFor(resolution, 2))).toEqual([0, 0, 0, 1, 1, 2, 2]);
  });
});

describe("coordinates", () => {
  it("follows the affine transform, rotation included", () => {
    expect(toCrs([10, 0, 500000, 0, -10, 4600000], 2.5, 4)).toEqual([500025, 4599960]);
    expect(toCrs([0, 2, 1, 3, 0, 1], 5, 7)).toEqual([15, 16]);
  });

  it("interpolates a mesh exactly where the field is bilinear, up to the last corner", () => {
    const xs = [0, 50, 100];
    const ys = [0, 10, 40];
    const values = ys.map((y) => xs.map((x) => 3 + 0.5 * x - 2 * y));
    for (const [x, y] of [[0, 0], [100, 40], [73, 22], [50, 10]] as const) expect(meshValue(xs, ys, values, x, y)).toBeCloseTo(3 + 0.5 * x - 2 * y, 10);
  });

  it("writes degrees with their letter and coordinates with useful digits", () => {
    expect(formatDegrees(-3.5, 42.25)).toBe("42.250000° N, 3.500000° W");
    expect(formatCoordinate(500025.123, 10)).toBe("500025");
    expect(formatCoordinate(2.823456789, 0.0001)).toBe("2.82346");
  });

  it("has scale bars of 1, 2 or 5", () => {
    expect(scaleBar(10, 140, "m")).toEqual({ label: "1 km", width: 100 });
    expect(scaleBar(0.3, 140, "m")).toMatchObject({ label: "20 m" });
    expect(scaleBar(0.125, 140, "px")).toMatchObject({ label: "10 px", width: 80 });
  });
});

describe("pictures", () => {
  it("offers what the band names allow, then single bands", () => {
    const scene = { bands: ["red", "green", "blue", "nir"], default_bands: [1, 2, 3] } as Scene;
    expect(presets(scene).slice(0, 5)).toEqual([
      { name: "Natural colour", bands: [1, 2, 3] }, { name: "False colour (near infrared)", bands: [4, 1, 2] },
      { name: "Vegetation (NDVI)", bands: [1, 2, 3], formula: "(nir - red) / (nir + red)" }, { name: "Water (NDWI)", bands: [1, 2, 3], formula: "(green - nir) / (green + nir)" },
      { name: "One band", band: "red", bands: [1] },
    ]);
    expect(presets({ bands: ["band_1", "band_2"], default_bands: [1] } as Scene)[0]).toEqual({ name: "Default bands", bands: [1] });
  });

  it("leaves out of the address what the server knows by itself", () => {
    expect(pictureQuery({ bands: [3, 2, 1], ranges: null, gamma: 1, formula: null })).toBe("bands=3,2,1");
    expect(pictureQuery({ bands: [1], ranges: [[0, 30]], gamma: 1.5, formula: null })).toBe("bands=1&range=0,30&gamma=1.5");
    expect(pictureQuery({ bands: [1], ranges: [[-1, 1]], gamma: 1, formula: "(nir - red) / (nir + red)" })).toBe("formula=(nir%20-%20red)%20%2F%20(nir%20%2B%20red)&range=-1,1");
  });
});
