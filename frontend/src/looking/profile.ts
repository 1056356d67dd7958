/** What the pixel under the pointer holds on every date of its series. */

import { api } from "../core/api";
import type { ProfilePoint } from "../core/types";
import { formatDate, formatNumber, t } from "../i18n";
import type { Session } from "../session/session";
import { h, replace, svg, svgText } from "../ui/dom";

const [WIDTH, HEIGHT, MARGIN] = [290, 120, 16];
/** Red, green and blue as in the picture; a single band and an index take the text's colour. */
const COLORS = ["#d33", "#2a8a2a", "#37e"];

export function buildProfile(session: Session): HTMLElement {
  const { store } = session;
  const about = h("p", { class: "quiet", id: "profile-about" }, t("Point at a pixel."));
  const chart = h("div", { id: "profile-chart" });
  const details = h("details", { class: "marks", id: "profile", ontoggle: () => load() }, h("summary", {}, h("h2", { id: "profile-title" }, t("Through time"))), about, chart);
  const section = h("section", { "aria-labelledby": "profile-title" }, details);
  let asked: AbortController | null = null;

  const load = (): void => {
    const { pixel, picture } = store.get();
    asked?.abort();
    if (!details.open || !pixel) return;
    asked = new AbortController();
    const { formula } = picture;
    const shown = formula === null ? picture.bands.map((band) => band - 1) : [0];
    api.profile(pixel.scene.id, pixel.row, pixel.col, formula, asked.signal).then(
      (points) => {
        about.textContent = `${t("row {row}, col {col}", { row: String(pixel.row), col: String(pixel.col) })}: ${formula ?? shown.map((band) => pixel.scene.bands[band]).join(", ")}`;
        replace(chart, draw(points, shown, pixel.scene.id));
      },
      () => undefined,
    );
  };
  store.watch(["pixel", "picture"], load);
  store.watch(["scene"], () => (section.hidden = session.series.length < 2));
  return section;
}

/** Lines over time, a gap where there is no data, the open date marked; its values are its name. */
function draw(points: readonly ProfilePoint[], bands: readonly number[], open: string): SVGElement {
  const values = points.flatMap((point) => bands.flatMap((band) => point.values?.[band] ?? []));
  const [low, high] = values.length > 0 ? [Math.min(...values), Math.max(...values)] : [0, 1];
  const times = points.map((point, i) => (point.date ? Date.parse(point.date) : i));
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const x = (i: number): number => MARGIN + ((times[i]! - first) / (last - first || 1)) * (WIDTH - 2 * MARGIN);
  const y = (value: number): number => HEIGHT - MARGIN - ((value - low) / (high - low || 1)) * (HEIGHT - 2 * MARGIN);
  const name = points.map((point) => `${point.date ? formatDate(point.date) : point.scene}: ${point.values ? bands.map((band) => formatNumber(+point.values![band]!.toPrecision(4))).join(", ") : t("no data")}`).join("; ");
  const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": name, class: "profile-chart" });
  points.forEach((point, i) => {
    if (point.scene === open) chart.append(svg("line", { x1: x(i), x2: x(i), y1: 2, y2: HEIGHT - 2, class: "profile-now" }));
  });
  bands.forEach((band, at) => {
    const color = bands.length > 1 ? COLORS[at]! : "currentcolor";
    let path = "";
    points.forEach((point, i) => {
      const value = point.values?.[band];
      if (value === undefined) return;
      path += `${points[i - 1]?.values ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
      chart.append(svg("circle", { cx: x(i), cy: y(value), r: 2.5, fill: color }));
    });
    chart.append(svg("path", { d: path, fill: "none", stroke: color, "stroke-width": 1.5 }));
  });
  for (const [value, at] of [[high, 10], [low, HEIGHT - 2]] as const) chart.append(svgText(formatNumber(+value.toPrecision(4)), 1, at));
  return chart;
}
