/** What the server tells of its own accord. */

import { formatPercent, t } from "../i18n";
import { api } from "../core/api";
import type { Store } from "../core/store";
import { isOver, type Job, type MapStatus, type ModelInfo } from "../core/types";
import type { Notices } from "./notices";
import type { ProjectCopy } from "./projectcopy";
import type { State } from "./state";

const AGAIN_MS = 700;

export class ServerEvents {
  private events: EventSource | null = null;

  constructor(
    private readonly store: Store<State>,
    private readonly copy: ProjectCopy,
    private readonly notices: Notices,
    /** The map has more to show at the same revision, or the server is back. */
    private readonly more: () => void,
    private readonly overlays: () => void,
    private readonly people: () => void,
  ) {
    let known: ModelInfo | null = null;
    store.watch(["project"], ({ project }) => {
      const before = known;
      known = project?.model ?? null;
      if (before && known) this.sayWhatTrainingGave(before, known);
    });
  }

  listen(): void {
    const events = new EventSource("api/events");
    this.events = events;
    const on = <T>(name: string, run: (data: T) => void): void =>
      events.addEventListener(name, (event) => run(JSON.parse((event as MessageEvent<string>).data) as T));
    on<{ revision: number; instance: string; map: MapStatus }>("hello", ({ revision, instance, map }) => {
      const { project } = this.store.get();
      const wasAway = !this.store.get().online || (project !== null && project.instance !== instance);
      this.store.set({ online: true });
      if (!project || wasAway) {
        void this.notices.guard(async () => {
          await this.copy.reload();
          this.store.set({ jobs: (await api.jobs()).jobs });
          this.more();
        });
      } else if (revision > project.revision) void this.copy.catchUp();
      else if (revision === project.revision) this.store.set({ project: { ...project, map } });
      this.copy.outbox.retryNow();
    });
    on<{ revision: number; key: string | null; map: MapStatus }>("revision", ({ revision, key, map }) => {
      const { project } = this.store.get();
      if (revision > this.copy.revision && !(key && this.copy.outbox.holds(key))) void this.copy.catchUp();
      else if (project && revision === project.revision) this.store.set({ project: { ...project, map } });
    });
    on<{ scene: string; revision: number }>("map", ({ scene, revision }) => {
      const state = this.store.get();
      if (revision !== this.copy.revision || (scene !== state.scene?.id && scene !== state.compare?.id)) return;
      this.more();
      this.copy.loadAreasSoon();
    });
    on<object>("suspect-labels", () => void this.notices.guard(() => this.copy.loadSuspectLabels()));
    on<object>("accuracy", () => void this.notices.guard(() => this.copy.loadAccuracy()));
    on<object>("coverage", () => void this.notices.guard(() => this.copy.loadCoverage()));
    on<object>("overlays", () => this.overlays());
    on<object>("people", () => this.people());
    on<Job>("job", (job) => this.takeJob(job));
    on<ModelInfo & { map: MapStatus }>("model", ({ map: _map, ...model }) => this.takeModel(model));
    events.onerror = () => {
      events.close();
      if (this.events !== events) return;
      this.store.set({ online: false });
      setTimeout(() => this.listen(), AGAIN_MS);
    };
  }

  private takeModel(model: ModelInfo): void {
    const { project } = this.store.get();
    if (project) this.store.set({ project: { ...project, model } });
  }

  /** The end of a training, however the page learned of it. */
  private sayWhatTrainingGave(before: ModelInfo, model: ModelInfo): void {
    if (before.state !== "training") return;
    if (model.state === "ready") {
      const changed = model.changed === null ? "" : ` ${t("{share} of the pixels shown changed their class.", { share: formatPercent(model.changed, 1) })}`;
      this.notices.notify("info", t("The encoder is trained: the map now uses it. Your labels are kept.") + changed);
    } else if (model.state === "failed") this.notices.notify("error", model.message ?? t("Training failed; the map goes on with band values."));
  }

  takeJob(job: Job): void {
    const { jobs } = this.store.get();
    const before = jobs.find((one) => one.id === job.id);
    this.store.set({ jobs: before ? jobs.map((one) => (one.id === job.id ? job : one)) : [job, ...jobs] });
    if (job.state === "failed" && before?.state !== "failed" && job.error) this.notices.notify("error", job.error.message);
    if (job.state === "done" && before && !isOver(before) && job.files.length > 0) this.notices.notify("info", t("{n} file ready under Jobs.|{n} files ready under Jobs.", { n: job.files.length }));
  }
}
