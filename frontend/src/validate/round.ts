/** One round through the points of a sample: where it stands, and what to ask next. Nothing here draws or fetches. */

import type { SamplePoint } from "./api";

export class Round {
  /** Index of the point on show; -1 where there is none to ask. */
  at: number;

  constructor(readonly points: SamplePoint[]) {
    this.at = this.nextOpen(-1);
    if (this.at < 0 && points.length > 0) this.at = 0;
  }

  get current(): SamplePoint | undefined {
    return this.points[this.at];
  }

  private isOpen(index: number): boolean {
    const point = this.points[index]!;
    return point.answer === null && !point.is_marked;
  }

  /** The next point after `from` that is to be answered, round the end; -1 where there is none. */
  nextOpen(from: number): number {
    for (let step = 1; step <= this.points.length; step++) {
      const index = (from + step) % this.points.length;
      if (this.isOpen(index)) return index;
    }
    return -1;
  }

  get isDone(): boolean {
    return this.nextOpen(-1) < 0;
  }

  /** Keep an answer and go on to the next open point; where there is none, stay. */
  answer(name: string, note: string): void {
    const { current } = this;
    if (!current) return;
    current.answer = name;
    current.note = note;
    const next = this.nextOpen(this.at);
    if (next >= 0) this.at = next;
  }

  /** One point back or on, answered or not. */
  step(by: 1 | -1): void {
    const { length } = this.points;
    if (length > 0) this.at = (this.at + by + length) % length;
  }

  /** The points that will be asked next, nearest first. */
  ahead(count: number): SamplePoint[] {
    const found: SamplePoint[] = [];
    for (let index = this.at; found.length < count; ) {
      index = this.nextOpen(index);
      if (index < 0 || index === this.at || found.includes(this.points[index]!)) break;
      found.push(this.points[index]!);
    }
    return found;
  }
}
