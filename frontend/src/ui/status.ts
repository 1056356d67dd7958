/** Bottom line: where the pointer is, and what lies there; the scale bar on the map. */

import { formatPercent, t } from "../i18n";
import { api } from "../core/api";
import { formatCoordinate, formatDegrees, scaleBar, toCrs } from "../core/geo";
import { meshValue, type Point } from "../core/geometry";
import type { PixelInfo, Scene } from "../core/types";
import type { MapView } from "../map/mapview";
import type { Session } from "../session/session";
import { byId, h } from "./dom";

export interface Status {
  /** The pointer is at a point of an image; null = it has left. */
  hover(point: Point | null, scene: Scene | null): void;
  /** Ask again about the pixel told of: the map, or the date, has changed. */
  refresh(): void;
}

/** The server is asked about a pixel when the pointer rests on it. */
const REST_MS = 120;

export function buildStatus(session: Session, view: MapView, sceneAt: (point: Point) => Scene | null): Status {
  const { store } = session;
  const pixel = h("span", { id: "at-pixel" });
  const crs = h("span", { id: "at-crs" });
  const degrees = h("span", { id: "at-degrees" });
  const values = h("span", { id: "at-values" });
  const answer = h("span", { id: "at-class" });
  const zoom = h("span", { id: "zoom-level" });
  byId("status").append(pixel, crs, degrees, answer, h("span", { class: "spacer" }), values, zoom);

  const bar = h("div", { class: "scale", id: "scale", role: "img" });
  byId("overlay").append(bar);
  const showScale = (): void => {
    const { scene } = store.get();
    if (!scene || !view.olMap.getSize()) return;
    const { resolution } = view;
    const metres = scene.metres_per_pixel?.[0];
    const { label, width } = scaleBar(resolution * (metres ?? 1), 140, metres ? "m" : "px");
    bar.style.width = `${width}px`;
    bar.textContent = label;
    bar.setAttribute("aria-label", t("Scale bar: {length}", { length: label }));
    const times = String(+Math.max(resolution, 1 / resolution).toPrecision(3));
    zoom.textContent = resolution >= 1 ? `1 : ${times}` : `${times} : 1`;
    zoom.dataset["resolution"] = String(resolution);
    zoom.title = resolution >= 1 ? t("One screen pixel shows {n} x {n} image pixels", { n: times }) : t("One image pixel takes {n} x {n} screen pixels", { n: times });
  };
  view.olMap.on("moveend", showScale);
  store.watch(["scene"], showScale);

  let timer: number | undefined;
  let asked: AbortController | null = null;
  let last = "";

  const tell = (info: PixelInfo, scene: Scene): void => {
    const { project } = store.get();
    const nameOf = (id: number | null): string | undefined => project?.classes.find((one) => one.id === id)?.name;
    const parts = [
      !info.valid && t("no data"),
      info.class ? `${nameOf(info.class) ?? info.class}${info.confidence !== null ? ` ${formatPercent(info.confidence)}` : ""}` : null,
      info.label ? t("marked {name}", { name: nameOf(info.label) ?? info.label }) : null,
    ].filter(Boolean);
    answer.textContent = parts.join(" · ");
    values.textContent = (info.values ?? []).slice(0, 6).map((value, i) => `${scene.bands[i]} ${+value.toPrecision(5)}`).join("  ");
  };

  let toldOf: Point | null = null;
  return {
    refresh() {
      last = "";
      if (toldOf) this.hover(toldOf, sceneAt(toldOf));
    },
    hover(point, scene) {
      if (!scene || !point) return;
      toldOf = point;
      const [x, y] = point;
      const [col, row] = [Math.floor(x), Math.floor(y)];
      const isInside = col >= 0 && row >= 0 && col < scene.width && row < scene.height;
      pixel.textContent = isInside ? t("row {row}, col {col}", { row: String(row), col: String(col) }) : t("outside");
      const [cx, cy] = toCrs(scene.transform, x, y);
      const size = Math.hypot(scene.transform[0], scene.transform[3]);
      crs.textContent = scene.crs ? `${scene.crs}  ${formatCoordinate(cx, size)}, ${formatCoordinate(cy, size)}` : t("no CRS");
      crs.title = scene.crs_name ?? t("The image has no coordinate reference system");
      const mesh = scene.lonlat;
      degrees.textContent = mesh ? formatDegrees(meshValue(mesh.cols, mesh.rows, mesh.lon, x, y), meshValue(mesh.cols, mesh.rows, mesh.lat, x, y)) : "";
      const key = `${scene.id}/${row}/${col}/${store.get().project?.revision}`;
      if (key === last) return;
      last = key;
      clearTimeout(timer);
      asked?.abort();
      answer.textContent = values.textContent = "";
      if (!isInside) return;
      timer = window.setTimeout(() => {
        asked = new AbortController();
        store.set({ pixel: { scene, row, col } });
        api.pixel(scene.id, row, col, asked.signal).then((info) => tell(info, scene), () => undefined);
      }, REST_MS);
    },
  };
}
