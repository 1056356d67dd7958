/** One function a route. Every failure is an ApiError with the server's one-line message. */

import type {
  Geometry, OverlayInfo, PeopleInfo, Spectrum, Accuracy, Areas, Changes, Overlap, SuspectLabels, Coverage, Edit, EditResult, ExportOptions, ImportPreview, Job, Mark, PixelInfo, ProfilePoint, Project, BandStatistics, Scene, Suggestion,
} from "./types";

export class ApiError extends Error {
  constructor(
    message: string,
    readonly type: string,
    /** 0 = the server was not reached: worth another try. */
    readonly status: number,
    readonly revision: number | null = null,
  ) {
    super(message);
  }

  get isOffline(): boolean {
    return this.status === 0;
  }
}

async function errorOf(response: Response): Promise<ApiError> {
  try {
    const { error } = (await response.json()) as { error: { type: string; message: string; revision?: number | null } };
    return new ApiError(error.message, error.type, response.status, error.revision ?? null);
  } catch {
    return new ApiError(`The server answered ${response.status} ${response.statusText}.`, "HttpError", response.status);
  }
}

/** Fetch that knows two outcomes: a good response, or an ApiError. An abort stays an abort. */
export async function request(path: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (init?.signal?.aborted) throw error;
    throw new ApiError("The pixelkin server does not answer. Start it again with `pixelkin serve`; nothing is lost.", "Offline", 0);
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await (await request(path, signal ? { signal } : {})).json()) as T;
}

export async function send<T>(method: string, path: string, body: unknown): Promise<T> {
  const response = await request(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return (await response.json()) as T;
}

/** How to read a label file. */
export interface ImportOptions {
  class_property: string;
  layer?: string;
  outside: "error" | "skip";
  /** By class of the file: the class that it goes to, a new name, or null to leave it out. */
  classes: Readonly<Record<string, string | null>>;
}

function labelForm(file: File, options: ImportOptions): FormData {
  const form = new FormData();
  form.append("file", file);
  form.append("options", JSON.stringify(options));
  return form;
}

export const scenePath = (scene: string): string => `api/scenes/${encodeURIComponent(scene)}`;

export const api = {
  project: () => get<Project>("api/project"),
  statistics: (scene: string) => get<Scene & { statistics: BandStatistics[] }>(scenePath(scene)),
  marks: (scene: string) => get<{ revision: number; marks: Mark[] }>(`${scenePath(scene)}/marks`),
  changes: (since: number) => get<Changes>(`api/changes?since=${since}`),
  overlaps: (scene: string) => get<{ revision: number; total: number; pixels: Overlap[] }>(`${scenePath(scene)}/overlaps`),
  suspectLabels: () => get<SuspectLabels>("api/suspect-labels"),
  accuracy: () => get<Accuracy>("api/accuracy"),
  coverage: () => get<Coverage>("api/coverage"),
  areas: (scene: string) => get<Areas>(`${scenePath(scene)}/areas`),
  suggestions: (scene: string, count = 10) =>
    get<{ revision: number; suggestions: Suggestion[] }>(`${scenePath(scene)}/suggestions?count=${count}`),
  index: (scene: string, formula: string) => get<BandStatistics>(`${scenePath(scene)}/index?formula=${encodeURIComponent(formula)}`),
  profile: (scene: string, row: number, col: number, formula: string | null, signal: AbortSignal) =>
    get<ProfilePoint[]>(`${scenePath(scene)}/profile?row=${row}&col=${col}${formula === null ? "" : `&formula=${encodeURIComponent(formula)}`}`, signal),
  pixel: (scene: string, row: number, col: number, signal: AbortSignal) =>
    get<PixelInfo>(`${scenePath(scene)}/pixel?row=${row}&col=${col}`, signal),
  people: () => get<PeopleInfo>("api/people"),
  presence: (page: string, scene: string | null, row: number, col: number) =>
    request("api/presence", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ page, scene, row, col }), keepalive: true }).then((answer) => answer.json() as Promise<PeopleInfo>),
  review: (scene: string, locked: boolean) => send<PeopleInfo>("POST", `${scenePath(scene)}/review`, { locked }),
  noData: () => get<Record<string, number>>("api/no-data"),
  spectra: (scene: string) => get<Spectrum[]>(`${scenePath(scene)}/spectra`),
  overlays: () => get<{ overlays: OverlayInfo[] }>("api/overlays"),
  overlayShapes: (id: string, scene: Scene) => get<{ shapes: Geometry[] }>(`api/overlays/${id}/shapes?scene=${encodeURIComponent(scene.id)}`),
  confidenceRamp: () => get<string[]>("api/confidence-ramp"),
  jobs: () => get<{ jobs: Job[] }>("api/jobs"),

  edits: (key: string, title: string, edits: Edit[]) => send<EditResult>("POST", "api/edits", { key, title, edits }),
  undo: (key: string) => send<EditResult>("POST", "api/undo", { key }),
  redo: (key: string) => send<EditResult>("POST", "api/redo", { key }),
  settings: (change: Partial<Project["settings"]>) => send<Project>("PATCH", "api/settings", change),
  train: () => send<Job>("POST", "api/jobs/train", {}),
  exportMaps: (options: ExportOptions & { scenes?: string[] }) => send<Job>("POST", "api/jobs/export", options),
  apply: (options: ExportOptions & { paths: string[] }) => send<Job>("POST", "api/jobs/apply", options),
  cancel: (job: string) => send<Job>("POST", `api/jobs/${encodeURIComponent(job)}/cancel`, {}),

  addOverlay: async (scene: string, file: File): Promise<void> => {
    const form = new FormData();
    form.append("file", file);
    await request(`api/overlays?scene=${encodeURIComponent(scene)}`, { method: "POST", body: form });
  },
  addAddress: (name: string, address: string) => send<OverlayInfo>("POST", "api/overlays/address", { name, address }),
  removeOverlay: (id: string) => request(`api/overlays/${id}`, { method: "DELETE" }),

  previewLabels: async (scene: string, file: File, options: ImportOptions): Promise<ImportPreview> => {
    const response = await request(`api/labels/preview?scene=${encodeURIComponent(scene)}`, { method: "POST", body: labelForm(file, options) });
    return (await response.json()) as ImportPreview;
  },
  importLabels: async (scene: string, file: File, options: ImportOptions, key: string): Promise<EditResult> => {
    const form = labelForm(file, options);
    form.append("key", key);
    const response = await request(`api/labels/import?scene=${encodeURIComponent(scene)}`, { method: "POST", body: form });
    return (await response.json()) as EditResult;
  },

  labelsUrl: (scene: string, format: "geojson" | "gpkg" | "tif") =>
    `api/labels/export?format=${format}&scene=${encodeURIComponent(scene)}`,
  thumbnailUrl: (scene: Scene, bands: readonly number[], size: number) =>
    `${scenePath(scene.id)}/thumbnail.png?size=${size}&bands=${bands.join(",")}&v=${encodeURIComponent(scene.fingerprint)}`,
  overlayTileUrl: (id: string, scene: Scene, z: number, x: number, y: number) => `api/overlays/${id}/tiles/${z}/${x}/${y}.png?scene=${encodeURIComponent(scene.id)}`,
  imageTileUrl: (scene: Scene, query: string, z: number, x: number, y: number) =>
    `${scenePath(scene.id)}/image/${z}/${x}/${y}.png?${query}&v=${encodeURIComponent(scene.fingerprint)}`,
  answerTilesUrl: (layer: "classes" | "confidence" | "similarity", scene: string, revision: number, z: number, at: readonly { x: number; y: number }[]) =>
    `${scenePath(scene)}/tiles/${layer}/${revision}/${z}?at=${at.map(({ x, y }) => `${x},${y}`).join(";")}`,
};
