/** How a scene is drawn: band combination, stretch and gamma; one choice for all dates of a series. */

import type { Scene } from "./types";

export interface Picture {
  /** 1-based; one band is grey, three are red, green and blue. */
  readonly bands: readonly number[];
  /** Low and high of each band; null = the server's 2nd and 98th percentile of the scene. */
  readonly ranges: readonly (readonly [number, number])[] | null;
  readonly gamma: number;
  /** An index in place of the bands, such as (nir - red) / (nir + red); it has one range. */
  readonly formula: string | null;
}

export const defaultPicture = (scene: Scene): Picture => ({ bands: scene.default_bands, ranges: null, gamma: 1, formula: null });

export function pictureQuery(picture: Picture): string {
  const parts = [picture.formula === null ? `bands=${picture.bands.join(",")}` : `formula=${encodeURIComponent(picture.formula)}`];
  if (picture.ranges) parts.push(`range=${picture.ranges.map(([low, high]) => `${low},${high}`).join(";")}`);
  if (picture.gamma !== 1) parts.push(`gamma=${picture.gamma}`);
  return parts.join("&");
}

export interface Preset {
  readonly name: "Natural colour" | "False colour (near infrared)" | "Short-wave infrared" | "Default bands" | "One band" | "Vegetation (NDVI)" | "Water (NDWI)" | "Burnt areas (NBR)";
  /** Name of the only band. */
  readonly band?: string;
  readonly bands: readonly number[];
  readonly formula?: string;
}

/** Band combinations that the band names allow, then one for each single band. */
export function presets(scene: Scene): Preset[] {
  const index = (...names: string[]): number => scene.bands.findIndex((band) => names.includes(band.toLowerCase())) + 1;
  const [red, green, blue] = [index("red", "b04", "b4"), index("green", "b03", "b3"), index("blue", "b02", "b2")];
  const swir2 = index("swir2", "swir22", "b12");
  const [nir, swir] = [index("nir", "nir08", "b08", "b8"), index("swir", "swir1", "swir16", "b11")];
  const combine = (name: Preset["name"], ...bands: number[]): Preset[] => (bands.every((band) => band > 0) ? [{ name, bands }] : []);
  const found = [
    ...combine("Natural colour", red, green, blue),
    ...combine("False colour (near infrared)", nir, red, green),
    ...combine("Short-wave infrared", swir, nir, red),
  ];
  if (found.length === 0) found.push({ name: "Default bands", bands: scene.default_bands });
  const difference = (name: Preset["name"], one: number, other: number): Preset[] =>
    one > 0 && other > 0 ? [{ name, bands: scene.default_bands, formula: `(${nameOf(one)} - ${nameOf(other)}) / (${nameOf(one)} + ${nameOf(other)})` }] : [];
  const nameOf = (band: number): string => (/^[A-Za-z_]\w*$/.test(scene.bands[band - 1]!) ? scene.bands[band - 1]! : `b${band}`);
  found.push(...difference("Vegetation (NDVI)", nir, red), ...difference("Water (NDWI)", green, nir), ...difference("Burnt areas (NBR)", nir, swir2));
  return [...found, ...scene.bands.map((name, i) => ({ name: "One band" as const, band: name, bands: [i + 1] }))];
}

export const sameBands = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((band, i) => band === b[i]);
