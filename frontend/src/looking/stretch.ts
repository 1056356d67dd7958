/** The stretch of one band: its histogram, a handle at either end, and the same two values as numbers. */

import type { BandStatistics } from "../core/types";
import { formatNumber, t } from "../i18n";
import { h } from "../ui/dom";

const STEPS = 512;

export interface StretchOptions {
  /** What the values are shown as, within a sentence: red, or the index. */
  readonly color: string;
  /** Class of the histogram's bars. */
  readonly className: string;
  readonly about: BandStatistics | null;
  readonly range: readonly [number, number] | null;
  readonly change: (end: 0 | 1, value: number) => void;
}

export interface Stretch {
  readonly numbers: readonly [HTMLInputElement, HTMLInputElement];
  readonly histogram: HTMLElement;
}

export function buildStretch({ color, className, about, range, change }: StretchOptions): Stretch {
  const short = (value: number): string => String(+value.toPrecision(5));
  const number = (end: 0 | 1): HTMLInputElement => {
    const input = h("input", {
      type: "number", step: "any", value: range ? short(range[end]) : "",
      "aria-label": t(end === 0 ? "Lowest value of {color}" : "Highest value of {color}", { color }),
      title: about ? `${about.name}: ${formatNumber(+about.min.toPrecision(5))} – ${formatNumber(+about.max.toPrecision(5))}` : "",
      onchange: () => change(end, Number(input.value)),
    });
    return input;
  };
  const numbers = [number(0), number(1)] as const;
  const [min, max] = [about?.min ?? 0, about?.max ?? 1];
  const toStep = (value: number): number => Math.round(((value - min) / (max - min || 1)) * STEPS);
  const toValue = (step: number): number => +(min + (step / STEPS) * (max - min)).toPrecision(5);
  const handle = (end: 0 | 1): HTMLInputElement => {
    const input = h("input", {
      type: "range", min: 0, max: STEPS, step: 1, class: "stretch-handle",
      "aria-label": t(end === 0 ? "Dark end of {color}" : "Bright end of {color}", { color }),
      oninput: () => (numbers[end].value = String(toValue(Number(input.value)))),
      onchange: () => change(end, toValue(Number(input.value))),
    });
    input.value = String(range ? toStep(range[end]) : end * STEPS);
    return input;
  };
  const bars = h("canvas", { width: about?.histogram.length ?? 1, height: 32, class: className });
  draw(bars, about?.histogram ?? []);
  return { numbers, histogram: h("div", { class: "stretch" }, bars, handle(0), handle(1)) };
}

/** Bars as high as the root of their counts: rare values show, too. */
function draw(canvas: HTMLCanvasElement, counts: readonly number[]): void {
  const context = canvas.getContext("2d")!;
  const most = Math.sqrt(Math.max(1, ...counts));
  context.fillStyle = "#7d8b99";
  counts.forEach((count, i) => {
    const height = Math.ceil((Math.sqrt(count) / most) * canvas.height);
    context.fillRect(i, canvas.height - height, 1, height);
  });
}
