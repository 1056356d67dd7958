import { expect, it } from "vitest";

import { Store } from "../src/core/store";

it("tells watchers once, and only those of the fields that changed", () => {
  const store = new Store({ a: 1, b: 1 });
  const seen: string[] = [];
  store.watch(["a"], ({ a }) => seen.push(`a${a}`));
  const stop = store.watch(["a", "b"], ({ a, b }) => seen.push(`ab${a}${b}`));
  store.set({ a: 1 });
  store.set({ b: 2 });
  store.set({ a: 2, b: 3 });
  stop();
  store.set({ b: 4 });
  expect(seen).toEqual(["a1", "ab11", "ab12", "a2", "ab23"]);
});
