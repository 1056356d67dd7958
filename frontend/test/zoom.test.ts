import { describe, expect, it } from "vitest";

import { WheelReader, type WheelInput } from "../src/map/wheel";
import { fittedResolution, zoomLevels } from "../src/map/zoomlevels";

describe("wheel and trackpad", () => {
  const event = (deltaY: number, at: number, more: Partial<WheelInput> = {}): WheelInput => ({ deltaX: 0, deltaY, deltaMode: 0, ctrlKey: false, timeStamp: at, ...more });
  const stepsOf = (events: readonly WheelInput[]): number => {
    const reader = new WheelReader();
    return events.map((one) => reader.read(one)).reduce((sum, move) => sum + (move?.kind === "zoom" ? move.steps : 0), 0);
  };

  it("zooms by one step a notch, however many pixels or lines a notch has", () => {
    for (const notch of [53, 100, 120, 300]) expect(stepsOf([0, 100, 200].map((at) => event(notch, at)))).toBe(-3);
    expect(stepsOf([event(-3, 0, { deltaMode: 1 }), event(-3, 100, { deltaMode: 1 })])).toBe(2);
    expect(stepsOf([event(-100, 0), event(-200, 16)])).toBe(3);
  });

  it("adds up a pinch: as far as the fingers went, not as many events as came", () => {
    const pinch = (count: number, deltaY: number): WheelInput[] => Array.from({ length: count }, (_, i) => event(deltaY, i * 16, { ctrlKey: true }));
    expect(stepsOf(pinch(10, -3))).toBe(0);
    expect(stepsOf(pinch(10, -7))).toBe(1);
    expect(stepsOf(pinch(100, -0.7))).toBe(1);
    expect(stepsOf([...pinch(20, -7), ...pinch(20, 7)])).toBe(0);
  });

  it("does not flicker where the fingers tremble at the edge of a step", () => {
    const to = event(-45, 0, { ctrlKey: true, deltaX: 1 });
    const tremble = Array.from({ length: 20 }, (_, i) => event(i % 2 ? -6 : 6, 16 * (i + 1), { ctrlKey: true }));
    const reader = new WheelReader();
    expect([to, ...tremble].map((one) => reader.read(one)).filter((move) => move?.kind === "zoom")).toHaveLength(1);
  });

  it("moves the view with two fingers, even fast ones", () => {
    const reader = new WheelReader();
    expect(reader.read(event(3, 0, { deltaX: 1 }))).toEqual({ kind: "pan", x: 1, y: 3 });
    expect(reader.read(event(120, 16))).toEqual({ kind: "pan", x: 0, y: 120 });
  });
});

describe("scales", () => {
  it("fit the image into the view, or leave little of it free", () => {
    for (const view of [[913, 533], [390, 340], [1200, 800], [513, 513]] as const) {
      for (const side of [40, 300, 377, 512, 1000, 10_000]) {
        const resolution = fittedResolution([side, side], view);
        const share = side / resolution / Math.min(...view);
        expect(share).toBeLessThanOrEqual(1 + 1e-9);
        expect(share).toBeGreaterThanOrEqual(0.85);
      }
    }
  });

  it("are the powers of two and the fitted one, coarsest first", () => {
    expect(zoomLevels(4, 1.4).slice(0, 5)).toEqual([4, 2, 1.4, 1, 0.5]);
    expect(zoomLevels(4, 2)).toEqual(zoomLevels(4, 1));
    expect(zoomLevels(2, 5).slice(0, 4)).toEqual([8, 5, 4, 2]);
    expect(zoomLevels(4, 1.4).at(-1)).toBe(1 / 64);
  });
});
