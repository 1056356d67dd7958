/**
 * The page's copy of the project.
 *
 * The server keeps the project; the page draws a change at once, sends it, and takes over what comes back.
 * A revision number orders all of it: what is older than what is known is dropped.
 */

import { api, ApiError } from "../core/api";
import { Outbox } from "../core/outbox";
import { defaultPicture, type Picture } from "../core/picture";
import type { Store } from "../core/store";
import type { Changes, Edit, EditResult, Mark, Project, Scene } from "../core/types";
import type { Notices } from "./notices";
import type { State } from "./state";

/** Order of a mark that the server has not numbered yet: after all others. */
const UNNUMBERED = Number.MAX_SAFE_INTEGER;

export class ProjectCopy {
  readonly outbox: Outbox<EditResult>;
  /** Band combination and stretch of each series. */
  readonly pictures = new Map<number, Picture>();
  private marksByScene = new Map<string, Map<string, Mark>>();
  /** Marks drawn here and not yet acknowledged; the server's word on a scene does not wipe them. */
  private readonly pendingMarks = new Map<string, Mark>();
  private areasTimer: number | undefined;
  private catchingUp = false;
  private behind = false;

  constructor(
    private readonly store: Store<State>,
    private readonly notices: Notices,
    /** What was known is not true any more. */
    private readonly changed: () => void,
  ) {
    this.outbox = new Outbox<EditResult>({
      retryable: (error) => error instanceof ApiError && error.isOffline,
      changed: (waiting, stuck) => store.set({ waiting, ...(stuck ? { online: false } : {}) }),
    });
  }

  /** Read the whole project again. */
  async reload(): Promise<void> {
    const project = await api.project();
    const state = this.store.get();
    this.marksByScene = new Map();
    const scene = project.scenes.find((one) => one.id === state.scene?.id) ?? project.scenes[0];
    const classId = project.classes.some((one) => one.id === state.classId) ? state.classId : (project.classes[0]?.id ?? 0);
    this.store.set({ project, classId, online: true, suspectLabels: { ...state.suspectLabels, revision: -1 } });
    await Promise.all([scene && this.openScene(scene.id), this.loadSuspectLabels(), this.loadCoverage(), this.loadAccuracy()]);
  }

  async openScene(id: string): Promise<void> {
    const { project, scene: before, compare } = this.store.get();
    const scene = project?.scenes.find((one) => one.id === id);
    if (!scene) return;
    const picture = this.pictures.get(scene.series) ?? defaultPicture(scene);
    this.store.set({
      scene, picture, areas: null, suggestion: null, statistics: [],
      compare: compare && compare.series === scene.series && compare.id !== scene.id ? compare : null,
      ...(before?.id === id ? {} : { overlaps: [], overlapTotal: 0 }),
    });
    this.changed();
    this.publishMarks();
    await this.notices.guard(async () => void (await Promise.all([this.loadMarks(id), this.loadStatistics(id), this.loadOverlaps(), this.loadAreas()])));
  }

  // Changes made here

  edit(title: string, edits: Edit[], done: (result: EditResult | null) => void = () => undefined): void {
    const key = crypto.randomUUID();
    this.deliver(key, () => api.edits(key, title, edits), done);
  }

  /** Show a mark before the server has it. */
  addMark(title: string, mark: Omit<Mark, "order" | "author" | "pixels" | "labels">): void {
    this.pendingMarks.set(mark.id, { ...mark, order: UNNUMBERED, author: "", pixels: 0, labels: 0 });
    this.publishMarks();
    this.edit(title, [{ op: "add_mark", ...mark }], () => this.pendingMarks.delete(mark.id));
  }

  /** Show a mark's new shape before the server has it. */
  reshapeMark(title: string, mark: Mark, geometry: Mark["geometry"]): void {
    const marks = this.marksByScene.get(mark.scene);
    marks?.set(mark.id, { ...mark, geometry });
    this.publishMarks();
    this.edit(title, [{ op: "update_mark", id: mark.id, geometry }], (result) => {
      if (!result && marks?.has(mark.id)) marks.set(mark.id, mark);
    });
  }

  deliver(key: string, send: () => Promise<EditResult>, done: (result: EditResult | null) => void): void {
    this.outbox.push({
      key,
      send,
      delivered: (result) => {
        done(result);
        this.takeResult(result);
      },
      refused: (error) => {
        done(null);
        this.publishMarks();
        this.notices.report(error);
      },
    });
  }

  // Taking over what the server says

  get revision(): number {
    return this.store.get().project?.revision ?? -1;
  }

  private takeResult(result: EditResult): void {
    this.store.set({ online: true });
    if (result.revision <= this.revision && !result.changes.reset) {
      // Learned already, with what was true later: whether there is a map, for one.
      this.publishMarks();
      return;
    }
    if (result.changes.since > this.revision || result.changes.reset) {
      // Somebody else's changes lie between; the marks just drawn must not vanish meanwhile.
      for (const mark of result.changes.marks) this.marksByScene.get(mark.scene)?.set(mark.id, mark);
      this.publishMarks();
      void this.catchUp();
      return;
    }
    const { can_undo, can_redo, undo_title, redo_title, map } = result;
    this.takeChanges(result.changes, { can_undo, can_redo, undo_title, redo_title, map });
  }

  private takeChanges(changes: Changes, status: Partial<Project>): void {
    const { project, classId } = this.store.get();
    if (!project) return;
    if (changes.revision < project.revision) {
      this.publishMarks();
      return;
    }
    for (const id of changes.deleted) for (const marks of this.marksByScene.values()) marks.delete(id);
    for (const mark of changes.marks) this.marksByScene.get(mark.scene)?.set(mark.id, mark);
    const chosen = changes.classes.some((one) => one.id === classId) ? classId : (changes.classes[0]?.id ?? 0);
    // Where all marks of an image are known here, so is the count of its labelled pixels.
    const scenes = project.scenes.map((scene) => {
      const marks = this.marksByScene.get(scene.id);
      return marks ? { ...scene, labelled_pixels: [...marks.values()].reduce((sum, mark) => sum + (mark.class_id === 0 ? 0 : mark.labels), 0) } : scene;
    });
    this.store.set({ project: { ...project, scenes, ...status, revision: changes.revision, classes: changes.classes }, classId: chosen });
    this.changed();
    this.publishMarks();
    if (changes.overlap_pixels > 0 || this.store.get().overlaps.length > 0) void this.notices.guard(() => this.loadOverlaps());
    const { marks, classes } = this.store.get().suspectLabels;
    if (marks.length + classes.length > 0) void this.notices.guard(() => this.loadSuspectLabels());
    this.loadAreasSoon();
  }

  /** Ask what changed since the revision known here. */
  async catchUp(): Promise<void> {
    this.behind = true;
    if (this.catchingUp) return;
    this.catchingUp = true;
    // What is asked for while an answer is under way may be newer than the answer.
    while (this.behind) {
      this.behind = false;
      await this.notices.guard(async () => {
        const changes = await api.changes(this.revision);
        if (changes.reset) {
          await this.reload();
          return;
        }
        const { classes: _classes, revision: _revision, ...status } = await api.project();
        this.takeChanges(changes, status);
      });
    }
    this.catchingUp = false;
  }

  marksOf(scene: Scene | null): readonly Mark[] {
    if (!scene) return [];
    const known = this.marksByScene.get(scene.id);
    const sorted = [...(known?.values() ?? [])].sort((a, b) => a.order - b.order);
    return [...sorted, ...[...this.pendingMarks.values()].filter((mark) => mark.scene === scene.id && !known?.has(mark.id))];
  }

  publishMarks(): void {
    const { scene, compare } = this.store.get();
    this.store.set({ marks: this.marksOf(scene), compareMarks: this.marksOf(compare) });
  }

  async loadMarksOf(scene: string): Promise<void> {
    await this.notices.guard(() => this.loadMarks(scene));
  }

  /** Marks of every image, of which only those opened so far are known. */
  async loadAllMarks(): Promise<void> {
    const unknown = this.store.get().project?.scenes.filter((one) => !this.marksByScene.has(one.id)) ?? [];
    await this.notices.guard(async () => void (await Promise.all(unknown.map((one) => this.loadMarks(one.id)))));
  }

  private async loadMarks(scene: string): Promise<void> {
    const { marks } = await api.marks(scene);
    this.marksByScene.set(scene, new Map(marks.map((mark) => [mark.id, mark])));
    this.publishMarks();
  }

  private async loadStatistics(scene: string): Promise<void> {
    const { statistics } = await api.statistics(scene);
    if (this.store.get().scene?.id === scene) this.store.set({ statistics });
  }

  async loadOverlaps(): Promise<void> {
    const { scene } = this.store.get();
    if (!scene) return;
    const { pixels, total } = await api.overlaps(scene.id);
    if (this.store.get().scene?.id === scene.id) this.store.set({ overlaps: pixels, overlapTotal: total });
  }

  async loadSuspectLabels(): Promise<void> {
    const suspectLabels = await api.suspectLabels();
    // Answers may overtake each other.
    if (suspectLabels.revision >= this.store.get().suspectLabels.revision) this.store.set({ suspectLabels });
  }

  async loadCoverage(): Promise<void> {
    const { scenes } = await api.coverage();
    this.store.set({ uncovered: new Map(scenes.filter((one) => one.warning !== null).map((one) => [one.scene, one])) });
  }

  async loadAccuracy(): Promise<void> {
    const accuracy = await api.accuracy();
    // What is worked out anew stays on show until it is there.
    const { accuracy: before } = this.store.get();
    this.store.set({ accuracy: accuracy.checked || before.accuracy === null ? accuracy : { ...before, checked: false } });
  }

  private async loadAreas(): Promise<void> {
    const { scene, project } = this.store.get();
    if (!scene || !project?.map.ready) {
      this.store.set({ areas: null });
      return;
    }
    const areas = await api.areas(scene.id);
    if (this.store.get().scene?.id === scene.id && areas.revision >= this.revision) this.store.set({ areas });
  }

  /** Counts may lag the picture a little; they must not take time from it. */
  loadAreasSoon(): void {
    clearTimeout(this.areasTimer);
    this.areasTimer = window.setTimeout(() => void this.notices.guard(() => this.loadAreas()), 400);
  }
}
