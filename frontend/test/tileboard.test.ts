import { describe, expect, it } from "vitest";

import { nearestFirst, TileBoard, type TileAddress } from "../src/core/tileboard";

interface Call {
  tile: TileAddress;
  tiles: readonly TileAddress[];
  revision: number;
  signal: AbortSignal;
  /** Deliver the first tile, and end. */
  answer: (content: string, complete?: boolean, revision?: number) => Promise<void>;
  deliver: (tile: TileAddress, content: string) => void;
  end: () => Promise<void>;
  fail: (error?: unknown) => Promise<void>;
}

function board(parallel = 100, capacity = 256, batch = 1) {
  const calls: Call[] = [];
  const released: string[] = [];
  const errors: unknown[] = [];
  const made = new TileBoard<string>({
    parallel,
    capacity,
    batch,
    changed: () => undefined,
    release: (content) => released.push(content),
    failed: (error) => errors.push(error),
    fetch: (tiles, _scope, revision, signal, deliver) =>
      new Promise<void>((resolve, reject) => {
        const settle = async (): Promise<void> => {
          for (let i = 0; i < 5; i++) await Promise.resolve();
        };
        const tile = tiles[0]!;
        calls.push({
          tile, tiles, revision, signal,
          answer: (content, complete = true, answered = revision) => (deliver(tile, { content, complete, revision: answered }), resolve(), settle()),
          deliver: (one, content) => deliver(one, { content, complete: true, revision }),
          end: () => (resolve(), settle()),
          fail: (error = new Error("no")) => (reject(error), settle()),
        });
      }),
  });
  return { made, calls, released, errors };
}

const at = (x: number, y = 0, z = 0): TileAddress => ({ z, x, y });

describe("order", () => {
  it("asks for the tile nearest to the mark first", () => {
    const tiles = [at(0), at(1), at(2), at(3), at(2, 1)];
    expect(nearestFirst(tiles, [2.6, 0.6])).toEqual([at(2), at(3), at(2, 1), at(1), at(0)]);
  });

  it("asks for no more at a time than allowed, and goes on in order", async () => {
    const { made, calls } = board(2);
    made.want([at(0), at(1), at(2), at(3)], "a", 1, [3.5, 0.5]);
    expect(calls.map((call) => call.tile.x)).toEqual([3, 2]);
    await calls[0]!.answer("tile 3");
    expect(calls.map((call) => call.tile.x)).toEqual([3, 2, 1]);
  });
});

describe("batches", () => {
  const all = [at(0), at(1), at(2), at(3)];

  it("asks for all tiles at once, and takes each as it comes", () => {
    const { made, calls } = board(2, 256, 64);
    made.want(all, "a", 1, [3.5, 0.5]);
    expect(calls.map((call) => call.tiles.map((tile) => tile.x))).toEqual([[3, 2, 1, 0]]);
    calls[0]!.deliver(at(1), "tile 1");
    expect(made.shown("a", at(1))?.content).toBe("tile 1");
    expect(made.settled).toBe(false);
    for (const x of [0, 2, 3]) calls[0]!.deliver(at(x), `tile ${x}`);
    expect(made.settled).toBe(true);
  });

  it("asks at the next revision for what an answer cut short did not bring", async () => {
    const { made, calls, errors } = board(2, 256, 64);
    made.want(all, "a", 1, [0.5, 0.5]);
    calls[0]!.deliver(at(0), "old 0");
    made.want(all, "a", 2, [0.5, 0.5]);
    expect(calls[1]!.tiles.map((tile) => tile.x)).toEqual([0]);
    await calls[0]!.end();
    expect(calls[2]!.revision).toBe(2);
    expect(calls[2]!.tiles.map((tile) => tile.x)).toEqual([1, 2, 3]);
    expect(errors).toEqual([null]);
  });

  it("does not ask again at the same revision for what did not come, until told to", async () => {
    const { made, calls } = board(2, 256, 64);
    made.want(all, "a", 1, [0.5, 0.5]);
    await calls[0]!.end();
    made.want(all, "a", 1, [0.5, 0.5]);
    expect(calls).toHaveLength(1);
    made.retryUnfinished();
    expect(calls[1]!.tiles).toHaveLength(4);
  });

  it("calls off a request with tiles out of view, and asks anew for the others", () => {
    const { made, calls, released } = board(2, 256, 64);
    made.want(all, "a", 1, [0.5, 0.5]);
    calls[0]!.deliver(at(1), "tile 1");
    made.want([at(1), at(2), at(3), at(4)], "a", 1, [2.5, 0.5]);
    expect(calls[0]!.signal.aborted).toBe(true);
    expect(calls[1]!.tiles.map((tile) => tile.x)).toEqual([2, 3, 4]);
    calls[0]!.deliver(at(2), "too late");
    expect(made.shown("a", at(2))).toBeNull();
    expect(released).toEqual(["too late"]);
  });
});

describe("revisions", () => {
  it("never lets an old answer replace a newer one", async () => {
    const { made, calls, released } = board();
    made.want([at(0)], "a", 5, [0, 0]);
    await calls[0]!.answer("of 5");
    made.want([at(0)], "a", 6, [0, 0]);
    await calls[1]!.answer("of 4", true, 4);
    expect(made.shown("a", at(0))?.content).toBe("of 5");
    expect(released).toEqual(["of 4"]);
  });

  it("keeps the old tile on show until the new one is there, then lets it go", async () => {
    const { made, calls, released } = board();
    made.want([at(0)], "a", 1, [0, 0]);
    await calls[0]!.answer("of 1");
    made.want([at(0)], "a", 2, [0, 0]);
    expect(made.shown("a", at(0))?.content).toBe("of 1");
    expect(made.settled).toBe(false);
    await calls[1]!.answer("of 2");
    expect(made.shown("a", at(0))?.content).toBe("of 2");
    expect(made.settled).toBe(true);
    expect(released).toEqual(["of 1"]);
  });

  it("asks again for a tile whose answer came from a revision that has been superseded meanwhile", async () => {
    const { made, calls } = board();
    made.want([at(0)], "a", 1, [0, 0]);
    made.want([at(0)], "a", 2, [0, 0]);
    expect(calls).toHaveLength(1);
    await calls[0]!.answer("of 1");
    expect(calls.map((call) => call.revision)).toEqual([1, 2]);
  });

  it("does not ask in a loop for a tile that fails, but does so at the next revision and on demand", async () => {
    const { made, calls, errors } = board();
    made.want([at(0)], "a", 1, [0, 0]);
    await calls[0]!.fail();
    made.want([at(0)], "a", 1, [0, 0]);
    expect(calls).toHaveLength(1);
    expect(errors).toHaveLength(1);
    made.want([at(0)], "a", 2, [0, 0]);
    expect(calls).toHaveLength(2);
    await calls[1]!.fail();
    made.retryUnfinished();
    expect(calls).toHaveLength(3);
  });

  it("draws an unfinished tile over the last finished one and asks for it again", async () => {
    const { made, calls, released } = board();
    made.want([at(0)], "a", 1, [0, 0]);
    await calls[0]!.answer("whole 1");
    made.want([at(0)], "a", 2, [0, 0]);
    await calls[1]!.answer("half 2", false);
    expect(made.shown("a", at(0))).toMatchObject({ content: "half 2", below: "whole 1" });
    made.retryUnfinished();
    await calls[2]!.answer("more of 2", false);
    expect(made.shown("a", at(0))).toMatchObject({ content: "more of 2", below: "whole 1" });
    made.retryUnfinished();
    await calls[3]!.answer("whole 2");
    expect(made.shown("a", at(0))).toMatchObject({ content: "whole 2", below: null });
    expect(released).toEqual(["half 2", "more of 2", "whole 1"]);
  });
});

describe("views", () => {
  it("calls off tiles that went out of view, and drops what they answer", async () => {
    const { made, calls, released } = board();
    made.want([at(0), at(1)], "a", 1, [0, 0]);
    made.want([at(1), at(2)], "a", 1, [2, 0]);
    expect(calls.map((call) => call.signal.aborted)).toEqual([true, false, false]);
    await calls[0]!.answer("too late");
    expect(made.shown("a", at(0))).toBeNull();
    expect(released).toEqual(["too late"]);
  });

  it("keeps the tiles of two dates apart", async () => {
    const { made, calls } = board();
    made.want([at(0)], "2020", 1, [0, 0]);
    await calls[0]!.answer("of 2020");
    made.want([at(0)], "2021", 1, [0, 0]);
    expect(made.shown("2021", at(0))).toBeNull();
    expect(made.shown("2020", at(0))?.content).toBe("of 2020");
  });

  it("forgets what was used longest ago, never what is in view", async () => {
    const { made, calls, released } = board(100, 2);
    for (let x = 0; x < 4; x++) {
      made.want([at(x)], "a", 1, [0, 0]);
      await calls[x]!.answer(`tile ${x}`);
    }
    made.want([at(3)], "a", 1, [0, 0]);
    expect(released).toEqual(["tile 0", "tile 1"]);
    expect(made.shown("a", at(3))?.content).toBe("tile 3");
  });
});

describe("a change on its way", () => {
  it("calls off what the server would refuse, keeps what it has begun to answer, and asks again once the change is there", () => {
    const { made, calls } = board(2, 256, 2);
    const all = [at(0), at(1), at(2), at(3)];
    made.want(all, "a", 1, [0.5, 0.5]);
    calls[0]!.deliver(at(0), "tile 0");
    made.hold(true);
    expect(calls.map((call) => call.signal.aborted)).toEqual([false, true]);
    made.want(all, "a", 1, [0.5, 0.5]);
    expect(calls).toHaveLength(2);
    made.want(all, "a", 2, [0.5, 0.5]);
    made.hold(false);
    expect(calls.slice(2).map((call) => [call.revision, ...call.tiles.map((tile) => tile.x)])).toEqual([[2, 0, 2]]);
  });
});
