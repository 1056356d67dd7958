/** Import, export, jobs and help. */

import type { ExportFormat, Job } from "../core/types";
import { isOver } from "../core/types";
import { api } from "../core/api";
import { t } from "../i18n";
import { sampleLink } from "../start/tour";
import type { Session } from "../session/session";
import { byId, h, icon, iconButton, openDialog, replace } from "./dom";

const FORMATS: readonly { format: ExportFormat; label: string }[] = [
  { format: "cog", label: "Map, Cloud-Optimized GeoTIFF" },
  { format: "confidence", label: "Confidence, GeoTIFF" },
  { format: "polygons", label: "Polygons, GeoPackage" },
  { format: "areas", label: "Areas, CSV" },
];

export function importLabels(session: Session): void {
  const input = h("input", {
    type: "file", id: "import-file", "aria-label": "Label file", accept: ".geojson,.json,.gpkg,.csv,.tif,.tiff",
    onchange: () => {
      const file = input.files?.[0];
      if (file) void session.importLabels(file);
      dialog.close();
    },
  });
  const dialog = openDialog(
    "Import labels",
    h("p", {}, "GeoJSON, GeoPackage, CSV or a label raster. Classes are matched by name (property “class”), new ones are added; one undo takes all of it back."),
    h("div", { class: "fields" }, h("label", {}, "File", input)),
    h("p", { class: "quiet" }, "A file can also be dropped anywhere on the page."),
  );
}

export function exportDialog(session: Session): void {
  const { project, scene } = session.store.get();
  if (!project || !scene) return;
  const boxes = FORMATS.map(({ format, label }) => {
    const input = h("input", { type: "checkbox", value: format, checked: format === "cog" || format === "areas" });
    return { format, input, row: h("label", { class: "check" }, input, label) };
  });
  const many = project.scenes.length > 1;
  const scope = h("select", { id: "export-scope" }, h("option", { value: "this" }, `This image (${scene.date ?? scene.name})`), many && h("option", { value: "all", selected: true }, `All ${project.scenes.length} images`), h("option", { value: "paths" }, "Other images, by path"));
  const paths = h("textarea", { rows: 2, id: "export-paths", "aria-label": "Paths on this machine, one a line", placeholder: "/data/other_scene.tif" });
  const pathsRow = h("label", { hidden: true }, "Paths, one a line", paths);
  scope.addEventListener("change", () => {
    pathsRow.hidden = scope.value !== "paths";
    listUncovered();
  });
  const name = h("input", { type: "text", value: "map", id: "export-name", required: true, pattern: "[A-Za-z0-9_\\-]+" });
  const replaces = h("input", { type: "checkbox", id: "export-replace" });
  const uncovered = h("div", { class: "warnings", id: "export-uncovered" });
  const listUncovered = (): void => {
    const chosen = project.scenes.filter((one) => scope.value === "all" || (scope.value === "this" && one.id === scene.id));
    const found = chosen.flatMap((one) => session.store.get().uncovered.get(one.id)?.warning ?? []);
    replace(uncovered, ...found.map((text) => h("p", {}, icon("warning"), h("span", {}, text))));
  };
  const labels = (["geojson", "gpkg", "tif"] as const).map((format) =>
    h("a", { class: "button", href: api.labelsUrl(scene.id, format), download: "" }, { geojson: "GeoJSON", gpkg: "GeoPackage", tif: "Label raster" }[format]),
  );
  const go = h("button", { type: "submit", class: "button primary", id: "export-go", disabled: !project.map.ready, title: project.map.reason ?? "" }, "Export");
  const form = h(
    "form",
    {
      class: "fields",
      onsubmit: (event: Event) => {
        event.preventDefault();
        const options = { formats: boxes.filter(({ input }) => input.checked).map(({ format }) => format), name: name.value, replace: replaces.checked };
        if (scope.value === "paths") void session.applyTo({ ...options, paths: paths.value.split("\n").map((path) => path.trim()).filter(Boolean) });
        else void session.exportMaps(scope.value === "this" ? { ...options, scenes: [scene.id] } : options);
        dialog.close();
        openJobs(session);
      },
    },
    h("fieldset", {}, h("legend", {}, "What"), ...boxes.map(({ row }) => row)),
    h("label", {}, "Of", scope),
    pathsRow,
    h("label", {}, "File name", name),
    h("label", { class: "check" }, replaces, "Replace an earlier export of this name"),
    uncovered,
    h("p", { class: "quiet" }, project.map.ready ? "What is exported equals what is shown, bit for bit." : (project.map.reason ?? "")),
    h("div", { class: "actions" }, go),
  );
  listUncovered();
  const dialog = openDialog("Export", form, h("div", { class: "fields divided" }, h("p", {}, "Labels of this image"), h("div", { class: "actions start" }, ...labels)));
}

const KINDS = { train: "Train the encoder", export: "Map and export", apply: "Map other images", import: "Import" } as const;

export function openJobs(session: Session): void {
  const { store } = session;
  if (document.getElementById("jobs-list")) return;
  const list = h("div", { class: "jobs", id: "jobs-list" });
  const model = h("p", { class: "quiet" });
  const train = h("button", { type: "button", class: "button", id: "train", onclick: () => void session.train() }, "Train an encoder on these images");
  const dialog = openDialog("Jobs", model, h("div", { class: "actions start" }, train), list);
  const stop = store.watch(["jobs", "project"], ({ jobs, project }) => {
    model.textContent = project?.model.message ?? "";
    train.hidden = project?.model.state === "training";
    const focused = (document.activeElement as HTMLElement | null)?.dataset["job"];
    replace(list, ...jobs.map((job) => jobRow(session, job)), jobs.length === 0 && h("p", { class: "empty" }, "Nothing has run yet."));
    if (focused) list.querySelector<HTMLElement>(`[data-job="${CSS.escape(focused)}"]`)?.focus();
  });
  dialog.addEventListener("close", stop);
}

function jobRow(session: Session, job: Job): HTMLElement {
  const progress = h("progress", { max: 1, "aria-label": `Progress of ${KINDS[job.kind]}` });
  progress.value = job.progress;
  return h(
    "div",
    { class: "job", "data-state": job.state, "data-kind": job.kind },
    h("div", { class: "job-head" }, h("strong", {}, KINDS[job.kind]), h("span", { class: "quiet" }, job.error ? job.error.message : job.message || job.state)),
    !isOver(job) && h("div", { class: "job-run" }, progress, h("button", { type: "button", class: "button small", "data-job": job.id, onclick: () => void session.cancelJob(job.id) }, "Cancel")),
    ...job.warnings.map((text) => h("p", { class: "warning" }, icon("warning"), h("span", {}, text))),
    job.files.length > 0 &&
      h("ul", {}, ...job.files.map((file) => h("li", {}, h("a", { href: file.url, download: file.name }, file.name), h("span", { class: "quiet" }, ` ${formatBytes(file.bytes)}`)))),
  );
}

function formatBytes(bytes: number): string {
  return bytes < 1e4 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

const HELP: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  ["Mark", [
    ["1 – 9", "choose a class"], ["A", "add a class"], ["F2", "edit the chosen class"], ["P S B G E", "point, scribble, box, polygon, erase"], ["[ ]", "brush width"], ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"],
    ["N", "show me where next"], ["K", "next label to check"],
  ]],
  ["With the keyboard alone", [
    ["Arrows", "move the pixel cursor on the map (Shift: 10 pixels)"], ["Enter", "mark the pixel; begin and end a scribble or box; add a corner"], ["Enter twice", "close a polygon"], ["Esc", "give up what is under way"],
  ]],
  ["Look", [
    ["Space, held", "peek below the map"], ["M C L", "map, confidence, marks"], ["O, Shift+O", "opacity up, down"], [", .", "date before, date after"], ["W", "compare two dates"], ["+ − F", "zoom, whole image"], ["V", "move the view"],
  ]],
  ["Files", [["I", "import labels"], ["X", "export"], ["J", "jobs"], ["?", "this help"]]],
];

export function openHelp(session: Session, startTour: () => void): void {
  const dialog = openDialog(
    "Keys",
    h("div", { class: "actions start help-start" }, h("button", { type: "button", class: "button", onclick: () => (dialog.close(), startTour()) }, t("First steps")), sampleLink(session)),
    h(
      "div",
      { class: "help" },
      ...HELP.map(([title, rows]) => h("section", {}, h("h3", {}, title), h("dl", {}, ...rows.flatMap(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])))),
    ),
  );
}

export function buildNotices(session: Session): void {
  const { store } = session;
  store.watch(["notices"], ({ notices }) => {
    replace(
      byId("notices"),
      ...notices.map((notice) => h("div", { class: "notice", "data-kind": notice.kind }, h("span", {}, notice.text), iconButton("close", "Dismiss", () => session.dismiss(notice.id), { class: "icon-button small" }))),
    );
  });
}
