/** What runs in the background, how far it is, and the files that came of it. */

import { standsOn } from "../core/sources";
import { isOver, type Job } from "../core/types";
import { formatNumber, t, type Text } from "../i18n";
import type { Session } from "../session/session";
import { h, icon, openDialog, replace } from "../ui/dom";

const KINDS: Readonly<Record<Job["kind"], Text>> = { train: "Train the encoder", export: "Map and export", apply: "Map other images", import: "Import" };
const STATES: Readonly<Record<Job["state"], Text>> = { queued: "queued", running: "running", done: "done", failed: "failed", cancelled: "cancelled" };

export function openJobs(session: Session): void {
  const { store } = session;
  if (document.getElementById("jobs-list")) return;
  const list = h("div", { class: "jobs", id: "jobs-list" });
  const model = h("p", { class: "quiet" });
  const train = h("button", { type: "button", class: "button", id: "train", onclick: () => void session.train() }, t("Train an encoder on these images"));
  const dialog = openDialog(t("Jobs"), model, h("div", { class: "actions start" }, train), list);
  const stop = store.watch(["jobs", "project"], ({ jobs, project }) => {
    model.textContent = project ? [project.model.message, standsOn(project.model)].filter(Boolean).join(" ") : "";
    train.hidden = project?.model.state === "training";
    const focused = (document.activeElement as HTMLElement | null)?.dataset["job"];
    replace(list, ...jobs.map((job) => jobRow(session, job)), jobs.length === 0 && h("p", { class: "empty" }, t("Nothing has run yet.")));
    if (focused) list.querySelector<HTMLElement>(`[data-job="${CSS.escape(focused)}"]`)?.focus();
  });
  dialog.addEventListener("close", stop);
}

function jobRow(session: Session, job: Job): HTMLElement {
  const kind = t(KINDS[job.kind]);
  const progress = h("progress", { max: 1, "aria-label": t("Progress of {name}", { name: kind }) });
  progress.value = job.progress;
  return h(
    "div",
    { class: "job", "data-state": job.state, "data-kind": job.kind },
    h("div", { class: "job-head" }, h("strong", {}, kind), h("span", { class: "quiet" }, job.error ? job.error.message : job.message || t(STATES[job.state]))),
    !isOver(job) && h("div", { class: "job-run" }, progress, h("button", { type: "button", class: "button small", "data-job": job.id, onclick: () => void session.cancelJob(job.id) }, t("Cancel"))),
    ...job.warnings.map((text) => h("p", { class: "warning" }, icon("warning"), h("span", {}, text))),
    job.files.length > 0 &&
      h("ul", {}, ...job.files.map((file) => h("li", {}, h("a", { href: file.url, download: file.name }, file.name), h("span", { class: "quiet" }, ` ${formatBytes(file.bytes)}`)))),
  );
}

function formatBytes(bytes: number): string {
  return bytes < 1e4 ? `${formatNumber(bytes)} B` : bytes < 1e6 ? `${formatNumber(Math.round(bytes / 1e3))} kB` : `${formatNumber(bytes / 1e6, { maximumFractionDigits: 1 })} MB`;
}
