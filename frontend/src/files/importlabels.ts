/** Labels from a file. */

import { t } from "../i18n";
import type { Session } from "../session/session";
import { h, openDialog } from "../ui/dom";

export function importLabels(session: Session): void {
  const input = h("input", {
    type: "file", id: "import-file", "aria-label": t("Label file"), accept: ".geojson,.json,.gpkg,.csv,.tif,.tiff",
    onchange: () => {
      const file = input.files?.[0];
      if (file) void session.importLabels(file);
      dialog.close();
    },
  });
  const dialog = openDialog(
    t("Import labels"),
    h("p", {}, t("GeoJSON, GeoPackage, CSV or a label raster. Classes are matched by name (property “class”), new ones are added; one undo takes all of it back.")),
    h("div", { class: "fields" }, h("label", {}, t("File"), input)),
    h("p", { class: "quiet" }, t("A file can also be dropped anywhere on the page.")),
  );
}
