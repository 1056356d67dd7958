/** Overlays: the user's own vectors and rasters, and background maps, each with its opacity; nothing is loaded from elsewhere unless it is switched on. */

import { api } from "../core/api";
import type { OverlayInfo, Scene } from "../core/types";
import { t } from "../i18n";
import type { MapView } from "../map/mapview";
import { BackgroundOverlay, type OverlayLayer, RasterOverlay, VectorOverlay } from "../map/overlaylayers";
import type { Session } from "../session/session";
import { h, iconButton, openDialog, replace } from "../ui/dom";

/** Above everything of the map, and below what is being drawn. */
const Z = 40;
const FILES = ".geojson,.json,.gpkg,.fgb,.kml,.zip,.tif,.tiff";
const COLORS = ["#ff3ea5", "#ffd23f", "#3ad6ff", "#ffffff"];
/** Which background map this page was opened to show: it may load pictures from there, and from nowhere else. */
const BACKGROUND = "background";

interface Shown {
  readonly info: OverlayInfo;
  readonly layer: OverlayLayer;
  readonly row: HTMLElement;
}

export function buildOverlays(session: Session, view: MapView): HTMLElement {
  const { store } = session;
  const shown = new Map<string, Shown>();
  const wanted = new URLSearchParams(location.search).get(BACKGROUND);
  const list = h("div", { class: "overlays", id: "overlay-list" });
  const file = h("input", {
    type: "file", id: "overlay-file", accept: FILES, hidden: true,
    onchange: () => {
      const { scene } = store.get();
      const chosen = file.files?.[0];
      file.value = "";
      if (scene && chosen) void session.guard(async () => void (await api.addOverlay(scene.id, chosen)));
    },
  });
  const details = h(
    "details",
    { class: "marks", id: "overlays" },
    h("summary", {}, h("h2", { id: "overlays-title" }, t("Overlays"))),
    list,
    h(
      "div",
      { class: "mark-tools" },
      file,
      h("button", { type: "button", class: "button small", id: "overlay-add", onclick: () => file.click() }, t("Vector or raster…")),
      h("button", { type: "button", class: "button small", id: "background-add", onclick: () => askAddress(session) }, t("Background map…")),
    ),
    h("p", { class: "quiet" }, t("They have no say in the map.")),
  );

  const layerOf = (info: OverlayInfo): OverlayLayer => {
    if (info.kind === "raster") return new RasterOverlay(Z, (scene, z, x, y) => api.overlayTileUrl(info.id, scene, z, x, y));
    if (info.kind === "address") return new BackgroundOverlay(Z - 1, info.address!);
    return new VectorOverlay(Z + 1, async (scene: Scene) => {
      let shapes: Awaited<ReturnType<typeof api.overlayShapes>>["shapes"] = [];
      await session.guard(async () => void ({ shapes } = await api.overlayShapes(info.id, scene)));
      return shapes;
    });
  };

  const make = (info: OverlayInfo): Shown => {
    const layer = layerOf(info);
    const isElsewhere = info.kind === "address";
    layer.setVisible(!isElsewhere || info.id === wanted);
    layer.setOpacity(isElsewhere || info.kind === "raster" ? 0.6 : 1);
    view.olMap.addLayer(layer);
    const { scene } = store.get();
    if (scene && layer.getVisible()) layer.setScene(scene);
    const input = h("input", {
      type: "checkbox", role: "switch", checked: layer.getVisible(),
      onchange: () => {
        // Another page may load from elsewhere; this one may not.
        if (isElsewhere && input.checked && info.id !== wanted) location.search = `?${BACKGROUND}=${info.id}`;
        layer.setVisible(input.checked);
        const open = store.get().scene;
        if (open && input.checked) layer.setScene(open);
        view.olMap.render();
      },
    });
    const opacity = h("input", {
      type: "range", min: 0, max: 100, "aria-label": t("Opacity of {name}", { name: info.name }),
      oninput: () => (layer.setOpacity(Number(opacity.value) / 100), view.olMap.render()),
    });
    opacity.value = String(layer.getOpacity() * 100);
    const remove = iconButton("close", t("Remove {name}", { name: info.name }), () => void session.guard(async () => void (await api.removeOverlay(info.id))), { class: "icon-button small" });
    return { info, layer, row: h("div", { class: "overlay", "data-overlay": info.name }, h("label", { class: "switch" }, input, h("span", { title: info.address ?? "" }, info.name)), remove, opacity, layer instanceof VectorOverlay && styleOf(layer, info, shown.size)) };
  };

  const load = async (): Promise<void> => {
    const { overlays } = await api.overlays();
    for (const [id, one] of shown) {
      if (overlays.some((info) => info.id === id)) continue;
      view.olMap.removeLayer(one.layer);
      shown.delete(id);
    }
    for (const info of overlays) if (!shown.has(info.id)) shown.set(info.id, make(info));
    const rows = [...shown.values()].map(({ row }) => row);
    if (rows.length === 0) replace(list, h("p", { class: "empty" }, t("Parcels, an old map, an aerial image: whatever helps to decide.")));
    else list.replaceChildren(...rows);
    if (rows.length > 0 && wanted) details.open = true;
  };
  session.onOverlays = () => void session.guard(load);
  session.onOverlays();
  store.watch(["scene"], ({ scene }) => {
    if (scene) for (const { layer } of shown.values()) if (layer.getVisible()) layer.setScene(scene);
  });
  return h("section", { "aria-labelledby": "overlays-title" }, details);
}

/** Colour of the outline, and whether areas are filled. */
function styleOf(layer: VectorOverlay, info: OverlayInfo, at: number): HTMLElement {
  const color = h("input", { type: "color", value: COLORS[at % COLORS.length]!, "aria-label": t("Colour of {name}", { name: info.name }), oninput: () => apply() });
  const filled = h("input", { type: "checkbox", onchange: () => apply() });
  const apply = (): void => layer.setStyle(color.value, filled.checked);
  apply();
  return h("div", { class: "overlay-style" }, color, h("label", { class: "check" }, filled, t("fill areas")));
}

function askAddress(session: Session): void {
  const name = h("input", { type: "text", required: true, maxlength: 80, pattern: ".*\\S.*", id: "background-name" });
  const address = h("input", { type: "url", required: true, maxlength: 2000, id: "background-address", placeholder: "https://…/{z}/{x}/{y}.png" });
  const form = h(
    "form",
    {
      class: "fields",
      onsubmit: (event: Event) => {
        event.preventDefault();
        void session.guard(async () => {
          await api.addAddress(name.value.trim(), address.value.trim());
          dialog.close();
        });
      },
    },
    h("p", {}, t("The address of XYZ tiles, with {z}, {x} and {y} in it, or of a WMS with LAYERS=… in it. Nothing is loaded from there until somebody switches it on; that server then sees which place they look at.", { z: "{z}", x: "{x}", y: "{y}" })),
    h("label", {}, t("Name"), name),
    h("label", {}, t("Address"), address),
    h("div", { class: "actions" }, h("button", { type: "submit", class: "button primary" }, t("Save"))),
  );
  const dialog = openDialog(t("Background map"), form);
  name.focus();
}
