/** Which marks a list shows, and in which order. */

import type { SuspectMark, Mark } from "../core/types";

export type MarkOrder = "newest" | "class" | "size";

export interface MarkFilter {
  /** null = every class; 0 = the eraser's. */
  readonly classId: number | null;
  /** Only marks that contradict others. */
  readonly suspect: boolean;
  readonly order: MarkOrder;
}

export function filterMarks(marks: readonly Mark[], filter: MarkFilter, doubts: readonly SuspectMark[]): Mark[] {
  const suspects = new Set(doubts.map((one) => one.mark));
  const shown = marks.filter((one) => (filter.classId === null || one.class_id === filter.classId) && (!filter.suspect || suspects.has(one.id)));
  const by: Record<MarkOrder, (a: Mark, b: Mark) => number> = {
    newest: (a, b) => b.order - a.order,
    class: (a, b) => a.class_id - b.class_id || b.order - a.order,
    size: (a, b) => b.pixels - a.pixels || b.order - a.order,
  };
  return shown.sort(by[filter.order]);
}
