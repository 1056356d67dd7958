/** What the classes look like on the open image: the values of their marks, band by band. */

import { api } from "../core/api";
import type { ClassInfo, Scene, Spectrum } from "../core/types";
import { formatNumber, t } from "../i18n";
import type { Session } from "../session/session";
import { h, replace, svg, svgText } from "../ui/dom";

const [WIDTH, HEIGHT, MARGIN] = [290, 150, 18];
const SETTLE_MS = 500;

export function buildSpectra(session: Session): HTMLElement {
  const { store } = session;
  const about = h("p", { class: "quiet", id: "spectra-about" });
  const chart = h("div", { id: "spectra-chart" });
  const details = h("details", { class: "marks", id: "spectra", ontoggle: () => load() }, h("summary", {}, h("h2", { id: "spectra-title" }, t("Spectra of the classes"))), about, chart);
  let timer: number | undefined;

  const load = (): void => {
    clearTimeout(timer);
    if (!details.open) return;
    timer = window.setTimeout(() => {
      const { scene } = store.get();
      if (!scene) return;
      void session.guard(async () => {
        const found = await api.spectra(scene.id);
        const { project, scene: open } = store.get();
        if (open?.id !== scene.id) return;
        about.textContent = found.length > 0 ? t("Mean of the marks, and the middle 80 % of them.") : t("No marks here yet. Choose a class and click a pixel of it.");
        replace(chart, found.length > 0 && draw(found, scene, project?.classes ?? []));
      });
    }, SETTLE_MS);
  };
  store.watch(["scene", "project"], load);
  return h("section", { "aria-labelledby": "spectra-title" }, details);
}

function draw(found: readonly Spectrum[], scene: Scene, classes: readonly ClassInfo[]): SVGElement {
  const [low, high] = [Math.min(...found.flatMap((one) => one.p10)), Math.max(...found.flatMap((one) => one.p90))];
  const x = (band: number): number => MARGIN + (scene.bands.length > 1 ? band / (scene.bands.length - 1) : 0.5) * (WIDTH - 2 * MARGIN);
  const y = (value: number): number => HEIGHT - MARGIN - ((value - low) / (high - low || 1)) * (HEIGHT - 2 * MARGIN);
  const short = (value: number): string => formatNumber(+value.toPrecision(4));
  const named = found.map((one) => ({ one, info: classes.find(({ id }) => id === one.class_id) }));
  const name = named.map(({ one, info }) => `${info?.name ?? one.class_id}: ${scene.bands.map((band, i) => `${band} ${short(one.mean[i]!)}`).join(", ")}`).join("; ");
  const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": name, class: "profile-chart" });
  for (const { one, info } of named) {
    const color = info?.color ?? "currentcolor";
    const line = (values: readonly number[]): string[] => values.map((value, band) => `${x(band).toFixed(1)} ${y(value).toFixed(1)}`);
    chart.append(
      svg("path", { d: `M${[...line(one.p10), ...line(one.p90).reverse()].join("L")}Z`, fill: color, "fill-opacity": 0.18 }),
      svg("path", { d: `M${line(one.mean).join("L")}`, fill: "none", stroke: color, "stroke-width": 2 }),
    );
  }
  for (const [value, at] of [[high, 10], [low, HEIGHT - MARGIN]] as const) chart.append(svgText(short(value), 1, at));
  // Of many bands some names, or they would lie over one another.
  const step = Math.ceil(scene.bands.length / 7);
  scene.bands.forEach((band, i) => {
    if (i % step === 0) chart.append(svgText(band.slice(0, 8), x(i), HEIGHT - 3, "middle"));
  });
  return chart;
}
