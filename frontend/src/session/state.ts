/** What the page knows and shows. */

import type { Picture } from "../core/picture";
import type { Accuracy, Areas, BandStatistics, Overlap, SuspectLabels, Job, Mark, PeopleInfo, Project, Scene, SceneCoverage, Suggestion } from "../core/types";
import type { Tool } from "../map/draw";

export type Notice = { readonly id: number; readonly kind: "error" | "info"; readonly text: string };

export interface State {
  project: Project | null;
  scene: Scene | null;
  /** Second date of the swipe; null = no swipe. */
  compare: Scene | null;
  /** Where the swipe's divider stands, 0..1 of the map's width. */
  swipe: number;
  marks: readonly Mark[];
  compareMarks: readonly Mark[];
  overlaps: readonly Overlap[];
  overlapTotal: number;
  suspectLabels: SuspectLabels;
  /** What the labels do not cover, by image. */
  uncovered: ReadonlyMap<string, SceneCoverage>;
  /** On which the pointer rests. */
  pixel: { readonly scene: Scene; readonly row: number; readonly col: number } | null;
  accuracy: Accuracy;
  areas: Areas | null;
  people: PeopleInfo;
  /** Images left out of the strip, because too much of them has no data. */
  leftOut: ReadonlySet<string>;
  statistics: readonly BandStatistics[];
  picture: Picture;
  /** Of the index on show. */
  indexStatistics: BandStatistics | null;
  jobs: readonly Job[];
  tool: Tool;
  classId: number;
  brush: number;
  mapOpacity: number;
  mapVisible: boolean;
  confidenceVisible: boolean;
  marksVisible: boolean;
  /** Space is held: only the image is shown. */
  peek: boolean;
  /** Changes not yet acknowledged by the server. */
  waiting: number;
  online: boolean;
  notices: readonly Notice[];
  suggestion: Suggestion | null;
}

/** What lies left and right of the swipe's divider: the earlier date at the left, whichever is open. */
export function sidesOf({ project, scene, compare }: Readonly<State>): readonly [Scene | null, Scene | null] {
  const at = (one: Scene): number => project?.scenes.findIndex(({ id }) => id === one.id) ?? -1;
  return scene && compare && at(compare) < at(scene) ? [compare, scene] : [scene, compare];
}

export const initialState: State = {
  project: null, scene: null, compare: null, swipe: 0.5, marks: [], compareMarks: [], overlaps: [], overlapTotal: 0,
  suspectLabels: { revision: -1, checked: false, marks: [], classes: [] }, uncovered: new Map(), pixel: null, accuracy: { revision: -1, checked: false, accuracy: null, change: null, classes: [], reason: null }, areas: null, people: { you: { name: "", role: "review" }, pages: [], reviews: {} }, leftOut: new Set(), statistics: [], indexStatistics: null,
  picture: { bands: [1], ranges: null, gamma: 1, formula: null }, jobs: [], tool: "point", classId: 0, brush: 5, mapOpacity: 0.65, mapVisible: true,
  confidenceVisible: false, marksVisible: true, peek: false, waiting: 0, online: true, notices: [], suggestion: null,
};
