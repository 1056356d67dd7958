import { describe, expect, it } from "vitest";

import { pixelOf, tileUrl, toWorld, worldOf, worldTiles } from "../src/core/mercator";

/** A bent, turned grid near 45 degrees north. */
const at = [0, 128, 256, 384, 512];
const mesh = {
  rows: at,
  cols: at,
  lon: at.map((y) => at.map((x) => 3 + 0.0002 * x + 0.00002 * y + 1e-9 * x * y)),
  lat: at.map((y) => at.map((x) => 45 - 0.00014 * y + 0.00001 * x)),
};

describe("background tiles", () => {
  it("find their place in the image and back", () => {
    for (const point of [[0, 0], [511, 3], [17, 500], [-40, 560]] as const) {
      const [x, y] = pixelOf(mesh, { width: 512, height: 512 }, worldOf(mesh, point));
      expect(Math.hypot(x - point[0], y - point[1])).toBeLessThan(0.01);
    }
    expect(toWorld(-180, 85.05112877980659)[1]).toBeCloseTo(0, 5);
  });

  it("cover the view at about the screen's resolution, and are never too many", () => {
    const tiles = worldTiles(mesh, [0, 0, 512, 512], 1);
    const { z } = tiles[0]!;
    const [left] = worldOf(mesh, [0, 256]);
    const [right] = worldOf(mesh, [512, 256]);
    const pixels = (right - left) * 256 * 2 ** z;
    expect(pixels).toBeGreaterThan(512 / 1.5);
    expect(pixels).toBeLessThan(512 * 1.5);
    expect(worldTiles(mesh, [-1e5, -1e5, 1e5, 1e5], 0.1).length).toBeLessThanOrEqual(150);
  });

  it("are asked for as the address says, across the date line too", () => {
    expect(tileUrl("https://a.example/{z}/{x}/{y}.png", { z: 3, x: 9, y: 2 })).toBe("https://a.example/3/1/2.png");
    expect(tileUrl("https://a.example/wms?BBOX={bbox}", { z: 0, x: 0, y: 0 })).toBe("https://a.example/wms?BBOX=-20037508.342789244,-20037508.342789244,20037508.342789244,20037508.342789244");
  });
});
