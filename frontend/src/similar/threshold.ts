/** Bytes of the similarity layer, and what is counted of them. */

/** Steps of the similarity: a byte is 1 + round(254 s). */
const STEPS = 254;
export const LEAST = 2;
export const MOST = 255;

/** The similarity at the middle of a byte. */
export const similarityOf = (byte: number): number => (byte - 1) / STEPS;

/** The byte that holds a similarity, as a threshold. */
export const byteOf = (similarity: number): number => Math.max(LEAST, Math.min(MOST, 1 + Math.round(STEPS * similarity)));

/** The similarity at which a byte begins: the server finds the same pixels by it as the page shows. */
export const thresholdOf = (byte: number): number => (byte - 1.5) / STEPS;

/** Pixels from a byte on, and all that have data. */
export function countFrom(counts: readonly number[], byte: number): { found: number; of: number } {
  let [found, of] = [0, 0];
  counts.forEach((count, at) => {
    if (at === 0) return;
    of += count;
    if (at >= byte) found += count;
  });
  return { found, of };
}
