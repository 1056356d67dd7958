/** What the server says and hears of sample points; docs of each field are in its OpenAPI document. */

import { request } from "../core/api";

export interface Choice {
  name: string;
  color: string;
  key: string | null;
}

export interface Sample {
  id: string;
  name: string;
  points: number;
  choices: Choice[];
}

export interface SamplePoint {
  point: number;
  scene: string;
  row: number;
  col: number;
  answer: string | null;
  note: string;
  is_marked: boolean;
  /** What the others said, where differences are settled. */
  said: Record<string, string>;
}

export interface Progress {
  points: number;
  answered: number;
  unsure: number;
  marked: number;
  differences: number;
  interpreters: Record<string, number>;
  agreements: { first: string; second: string; points: number; same: number }[];
  so_far: { half_width: number; figure: "accuracy" | "areas"; more: number } | null;
}

export interface AnswerBody {
  key: string;
  interpreter: string;
  point: number;
  class_name: string;
  note: string;
  target: number;
}

/** The interpreter of what is agreed where the others differ. */
export const SETTLED = "(settled)";
export const UNSURE = "unsure";

const pathOf = (sample: string): string => `api/samples/${sample}`;
const json = async <T>(path: string, init?: RequestInit): Promise<T> => (await (await request(path, init)).json()) as T;

export const samplesApi = {
  list: async () => (await json<{ samples: Sample[] }>("api/samples")).samples,
  open: (file: File) => {
    const body = new FormData();
    body.append("file", file);
    return json<Sample>("api/samples", { method: "POST", body });
  },
  points: async (sample: string, interpreter: string) =>
    (await json<{ points: SamplePoint[] }>(`${pathOf(sample)}/points?interpreter=${encodeURIComponent(interpreter)}`)).points,
  progress: (sample: string, interpreter: string, target: number) =>
    json<Progress>(`${pathOf(sample)}/progress?interpreter=${encodeURIComponent(interpreter)}&target=${target}`),
  answer: (sample: string, body: AnswerBody) =>
    json<Progress>(`${pathOf(sample)}/answers`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
  exportUrl: (sample: string, format: "gpkg" | "geojson" | "csv") => `${pathOf(sample)}/export?format=${format}`,
};
