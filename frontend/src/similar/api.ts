/** Routes of the search for all that is like something. */

import { get, scenePath, send } from "../core/api";
import type { EditResult, Geometry, Job, MarkKind } from "../core/types";

export interface Found {
  /** The revision in addresses of tiles. */
  number: number;
  /** Similarity at which the image itself would cut. */
  cut: number;
  done: number;
  total: number;
  /** Pixels of each byte: 1 + round(254 s), 0 = no data. */
  counts: number[];
}

const path = (scene: string, number: number): string => `${scenePath(scene)}/similar/${number}`;

export const find = (scene: string, kind: MarkKind, geometry: Geometry, brush_px: number): Promise<Found> => send("POST", `${scenePath(scene)}/similar`, { kind, geometry, brush_px });
export const soFar = (scene: string, number: number): Promise<Found> => get(path(scene, number));
export const take = (scene: string, number: number, body: { key: string; threshold: number; class_id: number; name?: string }): Promise<EditResult> => send("POST", `${path(scene, number)}/take`, body);
export const exportFound = (scene: string, number: number, body: { threshold: number; name: string; replace: boolean }): Promise<Job> => send("POST", `${path(scene, number)}/export`, body);
