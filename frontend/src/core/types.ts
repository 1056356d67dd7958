/** What the server says and hears; docs of each field are in its OpenAPI document. */

import type { Transform } from "./geo";

export interface ClassInfo {
  id: number;
  name: string;
  /** "#rrggbb". */
  color: string;
  key: string | null;
  marks: number;
  labelled_pixels: number;
}

export interface LonLatMesh {
  rows: number[];
  cols: number[];
  lon: number[][];
  lat: number[][];
}

export interface Scene {
  id: string;
  name: string;
  date: string | null;
  height: number;
  width: number;
  bands: string[];
  dtype: string;
  crs: string | null;
  crs_name: string | null;
  units: string | null;
  transform: Transform;
  series: number;
  /** Highest z, at which the whole image fits into one tile; z = 0 is full resolution. */
  levels: number;
  fingerprint: string;
  metres_per_pixel: [number, number] | null;
  lonlat: LonLatMesh | null;
  /** 1-based. */
  default_bands: number[];
  labelled_pixels: number;
}

export interface BandStatistics {
  band: number;
  name: string;
  min: number;
  max: number;
  p2: number;
  p98: number;
  mean: number;
  valid_fraction: number;
  histogram: number[];
}

export type Measure = "auto" | "local" | "global" | "l1";

export interface ModelInfo {
  state: "none" | "training" | "ready" | "failed";
  hash: string | null;
  measure_in_use: "learner on raw bands" | "learner on pretrained features" | "learner on embeddings" | "learner on features" | "l1" | "local" | "global";
  /** Sources that the map stands on: bands, encoder, pretrained, embedding. */
  features: string[];
  /** Share of the pixels lately shown whose class the encoder changed when it took over. */
  changed: number | null;
  job: string | null;
  message: string | null;
}

export interface MapStatus {
  ready: boolean;
  reason: string | null;
}

export interface Project {
  name: string;
  version: string;
  revision: number;
  instance: string;
  can_undo: boolean;
  can_redo: boolean;
  undo_title: string | null;
  redo_title: string | null;
  classes: ClassInfo[];
  scenes: Scene[];
  settings: { measure: Measure; pixels_per_mark: number | null };
  model: ModelInfo;
  map: MapStatus;
  /** There is a sample project at ./sample/ beside this one. */
  has_sample: boolean;
  limits: { upload_bytes: number; edits_per_request: number; tile_size: number };
}

export type MarkKind = "point" | "scribble" | "box" | "polygon";

/** GeoJSON in pixel space: x = column, y = row downwards, (0, 0) = outer corner of the first pixel. */
export type Geometry =
  | { type: "Point"; coordinates: [number, number] }
  | { type: "MultiPoint"; coordinates: [number, number][] }
  | { type: "LineString"; coordinates: [number, number][] }
  | { type: "MultiLineString"; coordinates: [number, number][][] }
  | { type: "Polygon"; coordinates: [number, number][][] }
  | { type: "MultiPolygon"; coordinates: [number, number][][][] };

export interface Mark {
  id: string;
  scene: string;
  /** 0 = eraser. */
  class_id: number;
  kind: MarkKind;
  geometry: Geometry;
  /** Diameter in image pixels. */
  brush_px: number;
  order: number;
  /** Who drew it; "" where nobody said. */
  author: string;
  pixels: number;
  labels: number;
}

export type Edit =
  | { op: "add_mark"; id: string; scene: string; class_id: number; kind: MarkKind; geometry: Geometry; brush_px: number }
  | { op: "update_mark"; id: string; class_id?: number; geometry?: Geometry; brush_px?: number }
  | { op: "delete_mark"; id: string }
  | { op: "add_class"; name: string; color?: string; key?: string; id?: number }
  | { op: "update_class"; id: number; name?: string; color?: string; key?: string | null; position?: number }
  | { op: "merge_class"; id: number; into: number }
  | { op: "delete_class"; id: number }
  | { op: "clear_marks"; scene?: string };

export interface Changes {
  since: number;
  revision: number;
  classes: ClassInfo[];
  marks: Mark[];
  deleted: string[];
  overlap_pixels: number;
  reset: boolean;
}

export interface EditResult {
  revision: number;
  applied: boolean;
  title: string | null;
  can_undo: boolean;
  can_redo: boolean;
  undo_title: string | null;
  redo_title: string | null;
  map: MapStatus;
  changes: Changes;
}

export interface Overlap {
  row: number;
  col: number;
  class_ids: number[];
  winner: number;
  marks: string[];
}

/** A mark of which labels are predicted as another class by the others; row and col are the first of these. */
export interface SuspectMark {
  scene: string;
  mark: string;
  row: number;
  col: number;
  class_id: number;
  predicted: number;
  labels: number;
}

export interface SuspectLabels {
  revision: number;
  /** False while the labels of this revision are still to be looked through. */
  checked: boolean;
  marks: SuspectMark[];
  /** Ids of classes that cannot be told apart. */
  classes: [number, number][];
}

/** How much of an image is like nothing that was labelled; nulls for an image with labels of its own, or not judged yet. */
export interface SceneCoverage {
  scene: string;
  foreign: number | null;
  /** The server's sentence. */
  warning: string | null;
}

export interface Coverage {
  revision: number;
  checked: boolean;
  scenes: SceneCoverage[];
}

/** What an import of a label file would do. */
export interface ImportPreview {
  /** `into` is the class that its marks get; null = left out. */
  classes: { name: string; color: string; into: string | null; class_id: number | null; marks: number; pixels: number }[];
  marks: number;
  notes: string[];
  layers: string[];
  fields: string[];
}

/** A share with its 95 % interval. */
export interface ShareEstimate {
  value: number;
  low: number;
  high: number;
  groups: number;
}

/** Each label predicted from those elsewhere; nulls where there are too few. */
export interface Accuracy {
  revision: number;
  checked: boolean;
  accuracy: ShareEstimate | null;
  /** By the last marks. */
  change: number | null;
  classes: { class_id: number; recall: ShareEstimate | null; precision: ShareEstimate | null; change: number | null }[];
  reason: string | null;
}

export interface Areas {
  revision: number;
  complete: number;
  pixels_total: number;
  valid_pixels: number;
  unit: "ha" | "px";
  classes: { id: number; name: string; color: string; pixels: number; fraction: number | null; area: number | null }[];
}

export interface Suggestion {
  scene: string;
  row: number;
  col: number;
  score: number;
}

export interface PixelInfo {
  row: number;
  col: number;
  x: number;
  y: number;
  lon: number | null;
  lat: number | null;
  values: number[] | null;
  valid: boolean;
  label: number;
  class: number | null;
  confidence: number | null;
  revision: number;
}

/** What a pixel holds on one date; null values where there is no data. */
export interface ProfilePoint {
  scene: string;
  date: string | null;
  values: number[] | null;
}

/** Where a page is that is open. */
export interface Presence {
  page: string;
  name: string;
  scene: string;
  row: number;
  col: number;
}

export interface PeopleInfo {
  you: { name: string; role: "read" | "label" | "review" };
  pages: Presence[];
  /** Who reviewed an image, by its id; its marks are locked. */
  reviews: Record<string, string>;
}

/** Something to lay over the images. */
export interface OverlayInfo {
  id: string;
  name: string;
  kind: "vector" | "raster" | "address";
  /** Of tiles of Web Mercator, with {z}, {x} and {y} or {bbox}; null for a file. */
  address: string | null;
}

/** Values at the marked pixels of a class, a number a band. */
export interface Spectrum {
  class_id: number;
  pixels: number;
  mean: number[];
  p10: number[];
  p90: number[];
}

export interface Job {
  id: string;
  kind: "train" | "export" | "apply" | "import";
  state: "queued" | "running" | "done" | "failed" | "cancelled";
  progress: number;
  message: string;
  error: { type: string; message: string } | null;
  files: { name: string; url: string; bytes: number }[];
  warnings: string[];
  started: string | null;
  finished: string | null;
}

export type ExportFormat = "cog" | "confidence" | "polygons" | "areas";

/** What to write: a name of files, and whether they may take the place of an earlier run's. */
export interface ExportOptions {
  formats: ExportFormat[];
  name: string;
  replace: boolean;
}

export const isOver = (job: Job): boolean => job.state === "done" || job.state === "failed" || job.state === "cancelled";
