/** Scales at which an image may be shown: powers of two, and the one at which all of it fills the view. */

/** Screen pixels an image pixel, at the deepest zoom. */
const DEEPEST = 64;
/** Where the next power of two leaves at least this share of the view in use, it does; no second scale stands beside it. */
const NEAR_ENOUGH = 0.85;

/** Image pixels a screen pixel at which an image just fits, or the power of two next to it. */
export function fittedResolution(image: readonly [number, number], view: readonly [number, number]): number {
  const exact = Math.max(image[0] / view[0], image[1] / view[1]);
  const coarser = 2 ** Math.ceil(Math.log2(exact) - 1e-9);
  return exact / coarser >= NEAR_ENOUGH ? coarser : exact;
}

/** Image pixels a screen pixel, the coarsest first: at powers of two an image pixel is a square of whole screen pixels, or one is picked of such a square. */
export function zoomLevels(coarsest: number, fitted: number): number[] {
  const levels: number[] = [];
  for (let level = 2 ** Math.ceil(Math.log2(Math.max(coarsest, fitted))); level >= 1 / DEEPEST; level /= 2) levels.push(level);
  return [...new Set([...levels, fitted])].sort((a, b) => b - a);
}
