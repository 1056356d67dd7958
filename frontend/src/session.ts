/**
 * The page's state and everything that changes it.
 *
 * The server keeps the project; the page keeps a copy, draws a mark at once, sends it, and takes over what comes back.
 * A revision number orders all of it: what is older than what is known is dropped.
 */

import { api, ApiError } from "./core/api";
import { centreOf, type Point } from "./core/geometry";
import { Outbox } from "./core/outbox";
import { defaultPicture, type Picture } from "./core/picture";
import { Store } from "./core/store";
import type {
  Areas, BandStatistics, Changes, Conflict, Contradictions, Edit, EditResult, ExportFormat, Geometry, Job, MapStatus, Mark, MarkKind, ModelInfo, Project, Scene,
  Suggestion,
} from "./core/types";
import { isOver } from "./core/types";
import type { Tool } from "./map/draw";

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
  conflicts: readonly Conflict[];
  conflictTotal: number;
  contradictions: Contradictions;
  areas: Areas | null;
  statistics: readonly BandStatistics[];
  picture: Picture;
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

/** Order of a mark that the server has not numbered yet: after all others. */
const UNNUMBERED = Number.MAX_SAFE_INTEGER;

export class Session {
  readonly store = new Store<State>({
    project: null, scene: null, compare: null, swipe: 0.5, marks: [], compareMarks: [], conflicts: [], conflictTotal: 0,
    contradictions: { revision: -1, checked: false, marks: [], classes: [] }, areas: null, statistics: [],
    picture: { bands: [1], ranges: null, gamma: 1 }, jobs: [], tool: "point", classId: 0, brush: 5, mapOpacity: 0.65, mapVisible: true,
    confidenceVisible: false, marksVisible: true, peek: false, waiting: 0, online: true, notices: [], suggestion: null,
  });

  /** Where the next repaint begins, in pixel space. */
  focus: Point | null = null;
  /** Called when the map has more to show at the same revision, and when the server is back. */
  onMore: () => void = () => undefined;

  private readonly outbox = new Outbox<EditResult>({
    retryable: (error) => error instanceof ApiError && error.isOffline,
    changed: (waiting, stuck) => this.store.set({ waiting, ...(stuck ? { online: false } : {}) }),
  });
  private marksByScene = new Map<string, Map<string, Mark>>();
  /** Marks drawn here and not yet acknowledged; the server's word on a scene does not wipe them. */
  private readonly pendingMarks = new Map<string, Mark>();
  private pictures = new Map<number, Picture>();
  private suggestions: Suggestion[] = [];
  private events: EventSource | null = null;
  private noticeId = 0;
  private areasTimer: number | undefined;

  // Opening

  async start(): Promise<void> {
    this.listen();
    await this.reload();
    const { jobs } = await api.jobs();
    this.store.set({ jobs });
  }

  /** Read the whole project again. */
  async reload(): Promise<void> {
    const project = await api.project();
    const state = this.store.get();
    this.marksByScene = new Map();
    const scene = project.scenes.find((one) => one.id === state.scene?.id) ?? project.scenes[0];
    const classId = project.classes.some((one) => one.id === state.classId) ? state.classId : (project.classes[0]?.id ?? 0);
    this.store.set({ project, classId, online: true, contradictions: { ...state.contradictions, revision: -1 } });
    await Promise.all([scene && this.openScene(scene.id), this.loadContradictions()]);
  }

  async openScene(id: string): Promise<void> {
    const { project, scene: before, compare } = this.store.get();
    const scene = project?.scenes.find((one) => one.id === id);
    if (!scene) return;
    const picture = this.pictures.get(scene.series) ?? defaultPicture(scene);
    this.store.set({
      scene, picture, areas: null, suggestion: null, statistics: [],
      compare: compare && compare.series === scene.series && compare.id !== scene.id ? compare : null,
      ...(before?.id === id ? {} : { conflicts: [], conflictTotal: 0 }),
    });
    this.suggestions = [];
    this.publishMarks();
    await Promise.all([this.loadMarks(id), this.loadStatistics(id), this.loadConflicts(), this.loadAreas()]);
  }

  /** The dates of the open scene's place, in order. */
  get series(): readonly Scene[] {
    const { project, scene } = this.store.get();
    return project && scene ? project.scenes.filter((one) => one.series === scene.series) : [];
  }

  async stepDate(step: number): Promise<void> {
    const scenes = this.store.get().project?.scenes ?? [];
    const at = scenes.findIndex((one) => one.id === this.store.get().scene?.id);
    const next = scenes[at + step];
    if (next) await this.openScene(next.id);
  }

  // Marks

  addMark(kind: MarkKind, geometry: Geometry, scene: Scene | null): void {
    const { tool, classId, brush, project } = this.store.get();
    if (!scene || !project) return;
    const erases = tool === "erase";
    const target = project.classes.find((one) => one.id === classId);
    if (!erases && !target) {
      this.notify("info", "Add a class first, then mark its pixels.");
      return;
    }
    const brushed = kind === "scribble" ? brush : 1;
    const mark: Mark = {
      id: crypto.randomUUID(), scene: scene.id, class_id: erases ? 0 : classId, kind, geometry, brush_px: brushed, order: UNNUMBERED, pixels: 0, labels: 0,
    };
    this.pendingMarks.set(mark.id, mark);
    this.focus = centreOf(geometry);
    this.publishMarks();
    const { order: _order, pixels: _pixels, labels: _labels, ...fields } = mark;
    this.edit(erases ? "Erase" : `Mark ${target!.name}`, [{ op: "add_mark", ...fields }], () => this.pendingMarks.delete(mark.id));
  }

  clearMarks(): void {
    const { scene } = this.store.get();
    if (scene) this.edit("Clear marks", [{ op: "clear_marks", scene: scene.id }]);
  }

  // Classes

  addClass(name: string): void {
    this.edit(`Add class ${name}`, [{ op: "add_class", name }], (result) => {
      const added = result?.changes.classes.find((one) => one.name === name);
      if (added) this.store.set({ classId: added.id });
    });
  }

  updateClass(id: number, change: { name?: string; color?: string; key?: string | null }): void {
    this.edit("Change class", [{ op: "update_class", id, ...change }]);
  }

  mergeClass(id: number, into: number): void {
    this.edit("Merge classes", [{ op: "merge_class", id, into }], () => this.store.set({ classId: into }));
  }

  deleteClass(id: number): void {
    this.edit("Delete class", [{ op: "delete_class", id }]);
  }

  // History

  undo(): void {
    const key = crypto.randomUUID();
    this.deliver(key, () => api.undo(key), () => undefined);
  }

  redo(): void {
    const key = crypto.randomUUID();
    this.deliver(key, () => api.redo(key), () => undefined);
  }

  private edit(title: string, edits: Edit[], done: (result: EditResult | null) => void = () => undefined): void {
    const key = crypto.randomUUID();
    this.deliver(key, () => api.edits(key, title, edits), done);
  }

  private deliver(key: string, send: () => Promise<EditResult>, done: (result: EditResult | null) => void): void {
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
        this.report(error);
      },
    });
  }

  // Taking over what the server says

  private get revision(): number {
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
    this.suggestions = [];
    this.publishMarks();
    if (changes.conflict_pixels > 0 || this.store.get().conflicts.length > 0) void this.guard(() => this.loadConflicts());
    const { marks, classes } = this.store.get().contradictions;
    if (marks.length + classes.length > 0) void this.guard(() => this.loadContradictions());
    this.loadAreasSoon();
  }

  private catchingUp = false;
  private behind = false;

  /** Ask what changed since the revision known here. */
  private async catchUp(): Promise<void> {
    this.behind = true;
    if (this.catchingUp) return;
    this.catchingUp = true;
    // What is asked for while an answer is under way may be newer than the answer.
    while (this.behind) {
      this.behind = false;
      await this.guard(async () => {
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

  private marksOf(scene: Scene | null): readonly Mark[] {
    if (!scene) return [];
    const known = this.marksByScene.get(scene.id);
    const sorted = [...(known?.values() ?? [])].sort((a, b) => a.order - b.order);
    return [...sorted, ...[...this.pendingMarks.values()].filter((mark) => mark.scene === scene.id && !known?.has(mark.id))];
  }

  private publishMarks(): void {
    const { scene, compare } = this.store.get();
    this.store.set({ marks: this.marksOf(scene), compareMarks: this.marksOf(compare) });
  }

  async loadMarksOf(scene: string): Promise<void> {
    await this.guard(() => this.loadMarks(scene));
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

  private async loadConflicts(): Promise<void> {
    const { scene } = this.store.get();
    if (!scene) return;
    const { pixels, total } = await api.conflicts(scene.id);
    if (this.store.get().scene?.id === scene.id) this.store.set({ conflicts: pixels, conflictTotal: total });
  }

  private async loadContradictions(): Promise<void> {
    const contradictions = await api.contradictions();
    // Answers may overtake each other.
    if (contradictions.revision >= this.store.get().contradictions.revision) this.store.set({ contradictions });
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
    this.areasTimer = window.setTimeout(() => void this.guard(() => this.loadAreas()), 400);
  }

  // Events of the server

  private listen(): void {
    const events = new EventSource("api/events");
    this.events = events;
    const on = <T>(name: string, run: (data: T) => void): void =>
      events.addEventListener(name, (event) => run(JSON.parse((event as MessageEvent<string>).data) as T));
    on<{ revision: number; instance: string; map: MapStatus }>("hello", ({ revision, instance, map }) => {
      const { project } = this.store.get();
      const wasAway = !this.store.get().online || (project !== null && project.instance !== instance);
      this.store.set({ online: true });
      if (!project || wasAway) {
        void this.guard(async () => {
          await this.reload();
          this.store.set({ jobs: (await api.jobs()).jobs });
          this.onMore();
        });
      } else if (revision > project.revision) void this.catchUp();
      else if (revision === project.revision) this.store.set({ project: { ...project, map } });
      this.outbox.retryNow();
    });
    on<{ revision: number; key: string | null; map: MapStatus }>("revision", ({ revision, key, map }) => {
      const { project } = this.store.get();
      if (revision > this.revision && !(key && this.outbox.holds(key))) void this.catchUp();
      else if (project && revision === project.revision) this.store.set({ project: { ...project, map } });
    });
    on<{ scene: string; revision: number }>("map", ({ scene, revision }) => {
      const state = this.store.get();
      if (revision !== this.revision || (scene !== state.scene?.id && scene !== state.compare?.id)) return;
      this.onMore();
      this.loadAreasSoon();
    });
    on<object>("contradictions", () => void this.guard(() => this.loadContradictions()));
    on<Job>("job", (job) => this.takeJob(job));
    on<ModelInfo & { map: MapStatus }>("model", ({ map: _map, ...model }) => this.takeModel(model));
    events.onerror = () => {
      events.close();
      if (this.events !== events) return;
      this.store.set({ online: false });
      setTimeout(() => this.listen(), 700);
    };
  }

  private takeModel(model: ModelInfo): void {
    const { project } = this.store.get();
    if (!project) return;
    if (project.model.state === "training" && model.state === "ready") this.notify("info", "The encoder is trained: the map now uses it. Your labels are kept.");
    if (project.model.state === "training" && model.state === "failed") this.notify("error", model.message ?? "Training failed; the map goes on with raw bands.");
    this.store.set({ project: { ...project, model } });
  }

  private takeJob(job: Job): void {
    const { jobs } = this.store.get();
    const before = jobs.find((one) => one.id === job.id);
    this.store.set({ jobs: before ? jobs.map((one) => (one.id === job.id ? job : one)) : [job, ...jobs] });
    if (job.state === "failed" && before?.state !== "failed" && job.error) this.notify("error", job.error.message);
    if (job.state === "done" && before && !isOver(before) && job.files.length > 0) this.notify("info", `${job.files.length} ${job.files.length === 1 ? "file" : "files"} ready under Jobs.`);
  }

  // Settings, jobs, files

  async setMeasure(measure: Project["settings"]["measure"]): Promise<void> {
    await this.guard(async () => {
      await api.settings({ measure });
      await this.catchUp();
    });
  }

  async exportMaps(options: { scenes?: string[]; formats: ExportFormat[]; name: string }): Promise<void> {
    await this.guard(async () => this.takeJob(await api.exportMaps(options)));
  }

  async applyTo(options: { paths: string[]; formats: ExportFormat[]; name: string }): Promise<void> {
    await this.guard(async () => this.takeJob(await api.apply(options)));
  }

  async train(): Promise<void> {
    await this.guard(async () => this.takeJob(await api.train()));
  }

  async cancelJob(id: string): Promise<void> {
    await this.guard(async () => this.takeJob(await api.cancel(id)));
  }

  async importLabels(file: File): Promise<void> {
    const { scene, project } = this.store.get();
    if (!scene || !project) return;
    if (file.size > project.limits.upload_bytes) {
      this.notify("error", `${file.name} has ${file.size} bytes, expected at most ${project.limits.upload_bytes}. Split the file.`);
      return;
    }
    const key = crypto.randomUUID();
    this.deliver(key, () => api.importLabels(scene.id, file, key), (result) => {
      if (result) this.notify("info", `Imported ${result.changes.marks.length} marks from ${file.name}.`);
    });
  }

  /** Go to the pixel whose label would help most; again = the next one. */
  async nextSuggestion(): Promise<Suggestion | null> {
    const { scene } = this.store.get();
    if (!scene) return null;
    let found: Suggestion | null = null;
    await this.guard(async () => {
      if (this.suggestions.length === 0) this.suggestions = (await api.suggestions(scene.id)).suggestions;
      found = this.suggestions.shift() ?? null;
      if (!found) this.notify("info", "There is nothing to suggest yet: mark at least two classes first.");
      else if (found.scene !== scene.id) {
        const next: Suggestion = found;
        await this.openScene(next.scene);
      }
    });
    this.store.set({ suggestion: found });
    return found;
  }

  setPicture(picture: Picture): void {
    const { scene } = this.store.get();
    if (scene) this.pictures.set(scene.series, picture);
    this.store.set({ picture });
  }

  // Saying things

  notify(kind: Notice["kind"], text: string): void {
    const { notices } = this.store.get();
    if (notices.some((notice) => notice.text === text)) return;
    const notice: Notice = { id: ++this.noticeId, kind, text };
    this.store.set({ notices: [...notices, notice].slice(-4) });
    setTimeout(() => this.dismiss(notice.id), kind === "error" ? 12000 : 5000);
  }

  dismiss(id: number): void {
    this.store.set({ notices: this.store.get().notices.filter((notice) => notice.id !== id) });
  }

  /** Show an error as the server put it; silence of the server shows in the header instead. */
  report(error: unknown): void {
    if (error instanceof ApiError && error.isOffline) this.store.set({ online: false });
    else if (error instanceof ApiError && error.type === "Stale") return;
    else this.notify("error", error instanceof Error ? error.message : String(error));
  }

  private async guard(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.report(error);
    }
  }

}
