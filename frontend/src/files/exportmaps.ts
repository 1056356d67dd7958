/** Maps and labels to files. */

import { api } from "../core/api";
import type { ExportFormat } from "../core/types";
import { t, type Text, tServer } from "../i18n";
import type { Session } from "../session/session";
import { h, icon, openDialog, replace } from "../ui/dom";
import { sceneLabel } from "../ui/scenes";
import { openJobs } from "./jobs";

const FORMATS: readonly (readonly [ExportFormat, Text])[] = [
  ["cog", "Map, Cloud-Optimized GeoTIFF"],
  ["confidence", "Confidence, GeoTIFF"],
  ["polygons", "Polygons, GeoPackage"],
  ["areas", "Areas, CSV"],
];

export function exportDialog(session: Session): void {
  const { project, scene, uncovered } = session.store.get();
  if (!project || !scene) return;
  const boxes = FORMATS.map(([format, label]) => {
    const input = h("input", { type: "checkbox", value: format, checked: format === "cog" || format === "areas" });
    return { format, input, row: h("label", { class: "check" }, input, t(label)) };
  });
  const scope = h(
    "select",
    { id: "export-scope", onchange: () => showScope() },
    h("option", { value: "this" }, t("This image ({name})", { name: sceneLabel(scene) })),
    project.scenes.length > 1 && h("option", { value: "all", selected: true }, t("All {n} images", { n: project.scenes.length })),
    h("option", { value: "paths" }, t("Other images, by path")),
  );
  const paths = h("textarea", { rows: 2, id: "export-paths", "aria-label": t("Paths on this machine, one a line"), placeholder: "/data/other_scene.tif" });
  const pathsRow = h("label", { hidden: true }, t("Paths, one a line"), paths);
  const name = h("input", { type: "text", value: "map", id: "export-name", required: true, pattern: "[A-Za-z0-9_\\-]+" });
  const replaces = h("input", { type: "checkbox", id: "export-replace" });
  const warnings = h("div", { class: "warnings", id: "export-uncovered" });
  const showScope = (): void => {
    pathsRow.hidden = scope.value !== "paths";
    const chosen = project.scenes.filter((one) => scope.value === "all" || (scope.value === "this" && one.id === scene.id));
    const found = chosen.flatMap((one) => uncovered.get(one.id)?.warning ?? []);
    replace(warnings, ...found.map((text) => h("p", {}, icon("warning"), h("span", {}, text))));
    warnings.tabIndex = found.length > 0 ? 0 : -1; // it scrolls where there are many
  };
  showScope();
  const labels = ([["geojson", "GeoJSON"], ["gpkg", "GeoPackage"], ["tif", t("Label raster")]] as const).map(([format, text]) =>
    h("a", { class: "button", href: api.labelsUrl(scene.id, format), download: "" }, text),
  );
  const reason = tServer(project.map.reason ?? "");
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
    h("fieldset", {}, h("legend", {}, t("What")), ...boxes.map(({ row }) => row)),
    h("label", {}, t("Of"), scope),
    pathsRow,
    h("label", {}, t("File name"), name),
    h("label", { class: "check" }, replaces, t("Replace an earlier export of this name")),
    warnings,
    h("p", { class: "quiet" }, project.map.ready ? t("What is exported equals what is shown, bit for bit.") : reason),
    h("div", { class: "actions" }, h("button", { type: "submit", class: "button primary", id: "export-go", disabled: !project.map.ready, title: reason }, t("Export"))),
  );
  const dialog = openDialog(t("Export"), form, h("div", { class: "fields divided" }, h("p", {}, t("Labels of this image")), h("div", { class: "actions start" }, ...labels)));
}
