/** Where a pixel lies: affine transform, text of coordinates, length of a scale bar. */

export type Transform = readonly [number, number, number, number, number, number];

/** Coordinates in the image's CRS of a point given in columns and rows, (0, 0) = outer corner of the first pixel. */
export function toCrs(transform: Transform, col: number, row: number): [number, number] {
  const [a, b, c, d, e, f] = transform;
  return [a * col + b * row + c, d * col + e * row + f];
}

/** Degrees, minutes and seconds would hide the digits people copy: decimal degrees with a letter. */
export function formatDegrees(longitude: number, latitude: number): string {
  const part = (value: number, positive: string, negative: string): string =>
    `${Math.abs(value).toFixed(6)}° ${value < 0 ? negative : positive}`;
  return `${part(latitude, "N", "S")}, ${part(longitude, "E", "W")}`;
}

/** A coordinate with as many digits as one tenth of a pixel needs. */
export function formatCoordinate(value: number, pixelSize: number): string {
  const digits = Math.max(0, Math.min(8, Math.ceil(-Math.log10(Math.abs(pixelSize) || 1)) + 1));
  return value.toFixed(digits);
}

export interface ScaleBar {
  readonly label: string;
  /** Width on the screen, CSS pixels. */
  readonly width: number;
}

/** The longest of 1, 2, 5 x 10^n units that fits. `unitsPerScreenPixel` is in metres, or in image pixels without a CRS. */
export function scaleBar(unitsPerScreenPixel: number, maxWidth: number, unit: "m" | "px"): ScaleBar {
  const longest = unitsPerScreenPixel * maxWidth;
  const power = 10 ** Math.floor(Math.log10(longest));
  const length = power * ([5, 2, 1].find((step) => step * power <= longest) ?? 1);
  const label = unit === "m" && length >= 1000 ? `${length / 1000} km` : `${+length.toPrecision(12)} ${unit}`;
  return { label, width: length / unitsPerScreenPixel };
}
