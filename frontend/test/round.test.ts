import { describe, expect, it } from "vitest";

import type { SamplePoint } from "../src/validate/api";
import { Round } from "../src/validate/round";

const points = (...answers: (string | null | "marked")[]): SamplePoint[] =>
  answers.map((answer, point) => ({ point, scene: "a", row: 0, col: point, answer: answer === "marked" ? null : answer, note: "", is_marked: answer === "marked", said: {} }));

describe("a round through the points", () => {
  it("asks what is open, and nothing that is marked or answered", () => {
    const round = new Round(points("x", null, "marked", null));
    expect(round.at).toBe(1);
    expect(round.ahead(3).map((one) => one.point)).toEqual([3]);
    round.answer("y", "");
    expect(round.at).toBe(3);
    round.answer("y", "");
    expect(round.isDone).toBe(true);
    expect(round.points.map((one) => one.answer)).toEqual(["x", "y", null, "y"]);
  });

  it("goes round the end to what was left out, and back to what was said", () => {
    const round = new Round(points(null, null, null));
    round.step(1);
    round.answer("x", "");
    round.answer("x", "");
    expect(round.at).toBe(0);
    round.step(-1);
    expect(round.current?.point).toBe(2);
    round.answer("y", "seen again");
    expect(round.points[2]).toMatchObject({ answer: "y", note: "seen again" });
    expect(round.at).toBe(0);
  });

  it("of no points shows none", () => {
    expect(new Round([]).current).toBeUndefined();
    expect(new Round([]).isDone).toBe(true);
  });
});
