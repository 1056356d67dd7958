/** Labels from a file: what it holds and what becomes of it is shown before anything is changed. */

import { api, type ImportOptions } from "../core/api";
import type { ImportPreview } from "../core/types";
import { formatNumber, t } from "../i18n";
import type { Session } from "../session/session";
import { h, icon, openDialog, replace } from "../ui/dom";

const LEFT_OUT = "\0";

/** Ask for a file, or begin with one that was dropped on the page. */
export function importLabels(session: Session, dropped?: File): void {
  const { scene, project } = session.store.get();
  if (!scene || !project) return;
  let file = dropped ?? null;
  let classes: Record<string, string | null> = {};
  let asked = 0;

  const input = h("input", {
    type: "file", id: "import-file", "aria-label": t("Label file"), accept: ".geojson,.json,.gpkg,.csv,.tif,.tiff",
    onchange: () => {
      file = input.files?.[0] ?? null;
      classes = {};
      void refresh();
    },
  });
  const chooser = (id: string, value: string): { input: HTMLInputElement; list: HTMLDataListElement } => {
    const list = h("datalist", { id: `${id}-list` });
    return { input: h("input", { type: "text", id, value, list: list.id, autocomplete: "off", onchange: () => ((classes = {}), void refresh()) }), list };
  };
  const layer = chooser("import-layer", "");
  const field = chooser("import-field", "class");
  const skip = h("input", { type: "checkbox", id: "import-skip", onchange: () => void refresh() });
  const layerRow = h("label", {}, t("Layer"), layer.input);
  const problem = h("p", { class: "warning", role: "alert", hidden: true });
  const found = h("div", { class: "import-classes" });
  const go = h("button", { type: "submit", class: "button primary", id: "import-go" }, t("Import"));
  const choice = h("div", { class: "fields", hidden: true }, layerRow, h("label", {}, t("Class field"), field.input), h("label", { class: "check" }, skip, t("Leave out marks outside the image")), problem, found, h("div", { class: "actions" }, go), layer.list, field.list);

  const options = (): ImportOptions => ({
    class_property: field.input.value.trim() || "class",
    ...(layer.input.value.trim() ? { layer: layer.input.value.trim() } : {}),
    outside: skip.checked ? "skip" : "error",
    classes,
  });

  const refresh = async (): Promise<void> => {
    choice.hidden = file === null;
    if (!file) return;
    const turn = ++asked;
    go.disabled = true;
    try {
      const preview = await api.previewLabels(scene.id, file, options());
      if (turn === asked) show(preview);
    } catch (error) {
      if (turn !== asked) return;
      replace(found);
      problem.hidden = false;
      replace(problem, icon("warning"), h("span", {}, error instanceof Error ? error.message : String(error)));
    }
  };

  const show = (preview: ImportPreview): void => {
    problem.hidden = true;
    layerRow.hidden = preview.layers.length < 2 && layer.input.value === "";
    replace(layer.list, ...preview.layers.map((value) => h("option", { value })));
    replace(field.list, ...preview.fields.map((value) => h("option", { value })));
    const row = (one: ImportPreview["classes"][number]): HTMLElement => {
      const into = h(
        "select",
        { "aria-label": t("What becomes of {name}", { name: one.name }), onchange: () => ((classes = { ...classes, [one.name]: into.value === LEFT_OUT ? null : into.value }), void refresh()) },
        ...project.classes.map(({ name }) => h("option", { value: name, selected: one.into === name }, name)),
        !project.classes.some(({ name }) => name === one.name) && h("option", { value: one.name, selected: one.into === one.name }, t("new: {name}", { name: one.name })),
        h("option", { value: LEFT_OUT, selected: one.into === null }, t("leave out")),
      );
      const swatch = h("span", { class: "swatch small", "aria-hidden": "true" });
      swatch.style.background = one.color;
      return h("tr", {}, h("th", { scope: "row" }, swatch, " ", one.name), h("td", {}, formatNumber(one.marks)), h("td", {}, formatNumber(one.pixels)), h("td", {}, into));
    };
    const [name, marks, pixels, becomes] = [t("Class"), t("Marks"), t("Pixels"), t("becomes")].map((text) => h("th", { scope: "col" }, text));
    replace(found, h("table", { class: "accuracy" }, h("tr", {}, name, marks, pixels, becomes), ...preview.classes.map(row)), ...preview.notes.map((text) => h("p", { class: "quiet" }, text)));
    const kept = preview.classes.reduce((sum, one) => sum + (one.into === null ? 0 : one.marks), 0);
    go.disabled = kept === 0;
    go.textContent = t("Import {n} mark|Import {n} marks", { n: kept });
  };

  const dialog = openDialog(
    t("Import labels"),
    h("p", {}, t("GeoJSON, GeoPackage, CSV or a label raster. Nothing is changed before you say so, and one undo takes all of it back.")),
    h(
      "form",
      { class: "fields", onsubmit: (event: Event) => (event.preventDefault(), file && session.importLabels(file, options()), dialog.close()) },
      dropped ? h("p", {}, h("strong", {}, dropped.name)) : h("label", {}, t("File"), input),
      choice,
    ),
    h("p", { class: "quiet" }, t("A file can also be dropped anywhere on the page.")),
  );
  void refresh();
}
