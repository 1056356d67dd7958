/** What the user does, as functions; the state that it changes is in `store`. */

import { t } from "../i18n";
import { api, type ImportOptions } from "../core/api";
import { boundsOf, centreOf, type Point } from "../core/geometry";
import type { Picture } from "../core/picture";
import { Store } from "../core/store";
import type { Edit, ExportOptions, Geometry, Mark, MarkKind, Project, Scene, Suggestion } from "../core/types";
import { ServerEvents } from "./events";
import { Notices } from "./notices";
import { ProjectCopy } from "./projectcopy";
import { initialState, type Notice, type State } from "./state";

export { sidesOf, type Notice, type State } from "./state";

export class Session {
  readonly store = new Store<State>(initialState);

  /** Where the next repaint begins, in pixel space. */
  focus: Point | null = null;
  /** Called when the map has more to show at the same revision, and when the server is back. */
  onMore: () => void = () => undefined;
  /** Called when somebody came, went or moved, or an image was reviewed. */
  onPeople: () => void = () => undefined;
  /** Called when the list of overlays is another one. */
  onOverlays: () => void = () => undefined;

  private readonly notices = new Notices(this.store);
  private suggestions: Suggestion[] = [];
  private readonly copy = new ProjectCopy(this.store, this.notices, () => {
    this.suggestions = [];
  });
  private readonly events = new ServerEvents(this.store, this.copy, this.notices, () => this.onMore(), () => this.onOverlays(), () => this.onPeople());

  // Opening

  async start(): Promise<void> {
    this.events.listen();
    await this.copy.reload();
    const { jobs } = await api.jobs();
    this.store.set({ jobs });
  }

  openScene(id: string): Promise<void> {
    return this.copy.openScene(id);
  }

  loadMarksOf(scene: string): Promise<void> {
    return this.copy.loadMarksOf(scene);
  }

  loadAreasSoon(): void {
    this.copy.loadAreasSoon();
  }

  /** The dates of the open scene's place, in order. */
  get series(): readonly Scene[] {
    const { project, scene } = this.store.get();
    return project && scene ? project.scenes.filter((one) => one.series === scene.series) : [];
  }

  /** Those of the dates that are not left out. */
  get shownSeries(): readonly Scene[] {
    const { leftOut, scene } = this.store.get();
    return this.series.filter(({ id }) => id === scene?.id || !leftOut.has(id));
  }

  /** Leave images out of the strip of which more than this share has no data; 1 leaves none out. */
  async leaveOut(most: number): Promise<void> {
    await this.guard(async () => {
      const shares = most < 1 ? await api.noData() : {};
      this.store.set({ leftOut: new Set(Object.keys(shares).filter((id) => shares[id]! > most)) });
    });
  }

  /** The same marks on another date of the same place. */
  copyMarks(marks: readonly Mark[], scene: string): void {
    const edits = marks.map(({ class_id, kind, geometry, brush_px }): Edit => ({ op: "add_mark", id: crypto.randomUUID(), scene, class_id, kind, geometry, brush_px }));
    this.copy.edit(t("Copy marks"), edits, (result) => {
      if (result) this.notify("info", t("{n} mark copied.|{n} marks copied.", { n: edits.length }));
    });
  }

  async stepDate(step: number): Promise<void> {
    const { leftOut, scene, project } = this.store.get();
    const scenes = (project?.scenes ?? []).filter(({ id }) => id === scene?.id || !leftOut.has(id));
    const at = scenes.findIndex((one) => one.id === this.store.get().scene?.id);
    const next = scenes[at + step];
    if (next) await this.openScene(next.id);
  }

  // Marks

  addMark(kind: MarkKind, geometry: Geometry, scene: Scene | null): void {
    const { tool, classId, brush, project } = this.store.get();
    if (!scene || !project) return;
    if (!this.mayMark(scene)) return;
    const erases = tool === "erase";
    const target = project.classes.find((one) => one.id === classId);
    if (!erases && !target) {
      this.notify("info", t("Add a class first, then mark its pixels."));
      return;
    }
    const [left, top, right, bottom] = boundsOf(geometry);
    if (right < 0 || bottom < 0 || left >= scene.width || top >= scene.height) {
      this.notify("info", t("That is outside the image: nothing was marked."));
      return;
    }
    const brushed = kind === "scribble" ? brush : 1;
    this.focus = centreOf(geometry);
    this.store.set({ suggestion: null });
    const mark = { id: crypto.randomUUID(), scene: scene.id, class_id: erases ? 0 : classId, kind, geometry, brush_px: brushed };
    this.copy.addMark(erases ? t("Erase") : t("Mark {name}", { name: target!.name }), mark);
  }

  /** Said before anything is drawn that the server would refuse. */
  private mayMark(scene: Scene): boolean {
    const { you, reviews } = this.store.get().people;
    const isOpen = reviews[scene.id] === undefined;
    if (!isOpen) this.notify("info", t("This image is reviewed: its marks are locked."));
    else if (you.role === "read") this.notify("info", t("You may look and not change anything."));
    return isOpen && you.role !== "read";
  }

  reshapeMark(mark: Mark, geometry: Geometry): void {
    const scene = this.store.get().project?.scenes.find((one) => one.id === mark.scene);
    if (scene && !this.mayMark(scene)) {
      this.copy.publishMarks();
      return;
    }
    const [left, top, right, bottom] = boundsOf(geometry);
    if (!scene || right < 0 || bottom < 0 || left >= scene.width || top >= scene.height) {
      this.notify("info", t("That is outside the image: the mark stays where it was."));
      this.copy.publishMarks();
      return;
    }
    this.focus = centreOf(geometry);
    this.copy.reshapeMark(t("Move or reshape a mark"), mark, geometry);
  }

  deleteMark(mark: Mark): void {
    this.copy.edit(t("Delete marks"), [{ op: "delete_mark", id: mark.id }]);
  }

  marksOf(scene: Scene): readonly Mark[] {
    return this.copy.marksOf(scene);
  }

  loadAllMarks(): Promise<void> {
    return this.copy.loadAllMarks();
  }

  /** Several changes as one step of undo. */
  edit(title: string, edits: Edit[]): void {
    this.copy.edit(title, edits);
  }

  clearMarks(): void {
    const { scene } = this.store.get();
    if (scene) this.copy.edit(t("Clear marks"), [{ op: "clear_marks", scene: scene.id }]);
  }

  // Classes

  addClass(name: string): void {
    this.copy.edit(t("Add class {name}", { name }), [{ op: "add_class", name }], (result) => {
      const added = result?.changes.classes.find((one) => one.name === name);
      if (added) this.store.set({ classId: added.id });
    });
  }

  updateClass(id: number, change: { name?: string; color?: string; key?: string | null }): void {
    this.copy.edit(t("Change class"), [{ op: "update_class", id, ...change }]);
  }

  mergeClass(id: number, into: number): void {
    this.copy.edit(t("Merge classes"), [{ op: "merge_class", id, into }], () => this.store.set({ classId: into }));
  }

  deleteClass(id: number): void {
    this.copy.edit(t("Delete class"), [{ op: "delete_class", id }]);
  }

  // History

  undo(): void {
    const key = crypto.randomUUID();
    this.copy.deliver(key, () => api.undo(key), () => undefined);
  }

  redo(): void {
    const key = crypto.randomUUID();
    this.copy.deliver(key, () => api.redo(key), () => undefined);
  }

  // Settings, jobs, files

  async setMeasure(measure: Project["settings"]["measure"]): Promise<void> {
    await this.notices.guard(async () => {
      await api.settings({ measure });
      await this.copy.catchUp();
    });
  }

  async exportMaps(options: ExportOptions & { scenes?: string[] }): Promise<void> {
    await this.notices.guard(async () => this.events.takeJob(await api.exportMaps(options)));
  }

  async applyTo(options: ExportOptions & { paths: string[] }): Promise<void> {
    await this.notices.guard(async () => this.events.takeJob(await api.apply(options)));
  }

  async train(): Promise<void> {
    await this.notices.guard(async () => this.events.takeJob(await api.train()));
  }

  async cancelJob(id: string): Promise<void> {
    await this.notices.guard(async () => this.events.takeJob(await api.cancel(id)));
  }

  importLabels(file: File, options: ImportOptions): void {
    const { scene } = this.store.get();
    if (!scene) return;
    const key = crypto.randomUUID();
    this.copy.deliver(key, () => api.importLabels(scene.id, file, options, key), (result) => {
      if (result) this.notify("info", t("{n} mark imported from {name}.|{n} marks imported from {name}.", { n: result.changes.marks.length, name: file.name }));
    });
  }

  /** Go to the pixel whose label would help most; again = the next one. */
  async nextSuggestion(): Promise<Suggestion | null> {
    const { scene } = this.store.get();
    if (!scene) return null;
    let found: Suggestion | null = null;
    await this.notices.guard(async () => {
      if (this.suggestions.length === 0) this.suggestions = (await api.suggestions(scene.id)).suggestions;
      found = this.suggestions.shift() ?? null;
      if (!found) this.notify("info", t("There is nothing to suggest yet: mark at least two classes first."));
      else if (found.scene !== scene.id) {
        const next: Suggestion = found;
        await this.openScene(next.scene);
      }
    });
    const { tool } = this.store.get();
    this.store.set({ suggestion: found, ...(found && (tool === "erase" || tool === "pan") ? { tool: "point" as const } : {}) });
    return found;
  }

  /** Show an index in place of bands, stretched over what it holds on the open image. */
  async showIndex(formula: string): Promise<void> {
    const { scene, picture } = this.store.get();
    if (!scene) return;
    await this.notices.guard(async () => {
      const indexStatistics = await api.index(scene.id, formula);
      this.store.set({ indexStatistics });
      this.setPicture({ ...picture, formula, ranges: [[indexStatistics.p2, indexStatistics.p98]], gamma: 1 });
    });
  }

  setPicture(picture: Picture): void {
    const { scene } = this.store.get();
    if (scene) this.copy.pictures.set(scene.series, picture);
    this.store.set({ picture });
  }

  // Saying things

  notify(kind: Notice["kind"], text: string): void {
    this.notices.notify(kind, text);
  }

  dismiss(id: number): void {
    this.notices.dismiss(id);
  }

  /** Run something that asks the server; an error becomes a notice. */
  guard(run: () => Promise<void>): Promise<void> {
    return this.notices.guard(run);
  }

  report(error: unknown): void {
    this.notices.report(error);
  }
}
