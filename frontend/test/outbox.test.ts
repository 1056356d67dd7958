import { describe, expect, it } from "vitest";

import { Outbox } from "../src/core/outbox";

class Offline extends Error {}

function setUp() {
  const states: [number, boolean][] = [];
  const log: string[] = [];
  const outbox = new Outbox<string>({
    retryable: (error) => error instanceof Offline,
    changed: (waiting, stuck) => states.push([waiting, stuck]),
    wait: () => Promise.resolve(),
  });
  const push = (key: string, ...outcomes: (string | Error)[]): Promise<void> =>
    new Promise((done) => {
      outbox.push({
        key,
        send: async () => {
          log.push(`send ${key}`);
          const outcome = outcomes.shift()!;
          if (outcome instanceof Error) throw outcome;
          return outcome;
        },
        delivered: (result) => (log.push(`got ${result}`), done()),
        refused: (error) => (log.push(`refused ${(error as Error).message}`), done()),
      });
    });
  return { outbox, states, log, push };
}

describe("outbox", () => {
  it("sends one change at a time, in the order they were made", async () => {
    const { log, push } = setUp();
    await Promise.all([push("a", "A"), push("b", "B")]);
    expect(log).toEqual(["send a", "got A", "send b", "got B"]);
  });

  it("sends the same change again until the silent server answers, before any later one", async () => {
    const { log, states, push } = setUp();
    await Promise.all([push("a", new Offline(), new Offline(), "A"), push("b", "B")]);
    expect(log).toEqual(["send a", "send a", "send a", "got A", "send b", "got B"]);
    expect(states).toContainEqual([2, true]);
    await Promise.resolve();
    expect(states.at(-1)).toEqual([0, false]);
  });

  it("drops a change that the server refuses, and goes on", async () => {
    const { log, push } = setUp();
    await Promise.all([push("a", new Error("no such class")), push("b", "B")]);
    expect(log).toEqual(["send a", "refused no such class", "send b", "got B"]);
  });

  it("knows the keys of changes without an answer", async () => {
    const { outbox, push } = setUp();
    const sent = push("a", "A");
    expect(outbox.holds("a")).toBe(true);
    await sent;
    expect(outbox.holds("a")).toBe(false);
  });
});
