/** Under each date of the strip, how much of its map each class covers: a chart over time. */

import { api } from "../core/api";
import type { Areas } from "../core/types";
import { formatPercent, t } from "../i18n";
import type { Session } from "../session/session";
import { h } from "./dom";

/** After a change the open image comes first; the bars may come when it is done. */
const SETTLE_MS = 900;
/** While the background still maps other dates. */
const AGAIN_MS = 4000;

export function buildAreaBars(session: Session): void {
  const { store } = session;
  let timer = 0;
  let turn = 0;

  const refresh = async (): Promise<void> => {
    const now = ++turn;
    const { project } = store.get();
    const dates = session.series;
    if (!project?.map.ready || dates.length < 2) {
      for (const bar of document.querySelectorAll(".area-bar")) bar.remove();
      return;
    }
    let isWhole = true;
    for (const scene of dates) {
      // One after the other: what is on show has the server's threads first.
      const areas = await api.areas(scene.id);
      if (now !== turn) return;
      isWhole &&= areas.complete === 1;
      show(scene.id, areas);
    }
    if (!isWhole) later(AGAIN_MS);
  };

  const later = (ms: number): void => {
    clearTimeout(timer);
    // Bars are an extra: where the server is away, the header says so.
    timer = window.setTimeout(() => void refresh().catch(() => undefined), ms);
  };

  store.watch(["areas", "project", "scene"], () => later(SETTLE_MS));
}

function show(scene: string, areas: Areas): void {
  const item = document.querySelector(`#strip .date[data-scene="${CSS.escape(scene)}"]`);
  if (!item) return;
  item.querySelector(".area-bar")?.remove();
  const covered = areas.classes.filter(({ fraction }) => fraction !== null && fraction > 0);
  if (covered.length === 0) return;
  const shares = covered.map(({ name, fraction }) => `${name} ${formatPercent(fraction!, 1)}`).join(", ");
  const text = t("{shares} (pixels counted on the map, without its error)", { shares });
  const bar = h("span", { class: "area-bar", role: "img", title: text, "aria-label": text, "data-complete": String(areas.complete === 1) });
  for (const { color, fraction } of covered) {
    const part = h("span", {});
    part.style.background = color;
    part.style.flexGrow = String(fraction);
    bar.append(part);
  }
  item.append(bar);
}
