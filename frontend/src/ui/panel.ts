/** Side panel: classes, layers, picture. */

import { sceneLabel } from "./scenes";
import { formatPercent, t, tParts, type Text } from "../i18n";
import { buildPicture } from "../looking/picture";
import { buildOverlays } from "../looking/overlays";
import { buildProfile } from "../looking/profile";
import { buildSpectra } from "../looking/spectra";
import { buildReview } from "../people/review";
import type { MapView } from "../map/mapview";
import type { SuspectMark, Mark, Measure } from "../core/types";
import type { Session } from "../session/session";
import { buildAccuracy } from "../marks/accuracy";
import { buildMarkList } from "../marks/list";
import { buildChecks } from "./checks";
import { buildClasses } from "./classes";
import { byId, h, replace, toggle } from "./dom";

export interface PanelActions {
  goToOverlap: () => void;
  goToDoubt: (mark: SuspectMark) => void;
  goToMark: (mark: Mark) => void;
  chooseMarks: (marks: readonly Mark[]) => void;
  toggleSwipe: () => void;
}

export function buildPanel(session: Session, view: MapView, actions: PanelActions): void {
  const marks = buildMarkList(session, { goToMark: actions.goToMark, choose: actions.chooseMarks });
  byId("panel").append(buildClasses(session, actions.goToOverlap), buildChecks(session, actions.goToDoubt), marks, buildAccuracy(session), buildLayers(session, actions.toggleSwipe), buildPicture(session), buildProfile(session), buildSpectra(session), buildOverlays(session, view), buildReview(session));
}

const METHODS: readonly (readonly [Measure, Text])[] = [
  ["auto", "All marks together"],
  ["local", "Most similar mark, close up"],
  ["global", "Most similar mark, with surroundings"],
  ["l1", "Most similar mark, band values"],
];

function buildLayers(session: Session, toggleSwipe: () => void): HTMLElement {
  const { store } = session;
  const map = toggle(t("Map"), "M", (mapVisible) => store.set({ mapVisible }));
  const confidence = toggle(t("Confidence"), "C", (confidenceVisible) => store.set({ confidenceVisible }));
  const marks = toggle(t("Marks"), "L", (marksVisible) => store.set({ marksVisible }));
  const swipe = toggle(t("Compare dates"), "W", toggleSwipe);
  const other = h("select", {
    "aria-label": t("Date to compare with"), id: "compare-date",
    onchange: () => store.set({ compare: session.series.find((one) => one.id === other.value) ?? null }),
  });
  const opacity = h("input", {
    type: "range", min: 0, max: 100, id: "opacity", "aria-label": t("Opacity of the map"),
    oninput: () => store.set({ mapOpacity: Number(opacity.value) / 100 }),
  });
  const opacityText = h("output", { for: "opacity" });
  const measure = h("select", {
    id: "measure", onchange: () => void session.setMeasure(measure.value as Measure),
  });
  for (const [value, text] of METHODS) measure.append(h("option", { value }, t(text)));
  store.watch(["mapVisible", "confidenceVisible", "marksVisible", "compare", "mapOpacity", "scene", "project"], (state) => {
    map.set(state.mapVisible);
    confidence.set(state.confidenceVisible);
    marks.set(state.marksVisible);
    swipe.set(state.compare !== null);
    opacity.value = String(Math.round(state.mapOpacity * 100));
    opacityText.textContent = formatPercent(state.mapOpacity);
    const dates = session.series;
    swipe.row.hidden = dates.length < 2;
    other.hidden = state.compare === null;
    replace(other, ...dates.filter((one) => one.id !== state.scene?.id).map((one) => h("option", { value: one.id, selected: one.id === state.compare?.id }, sceneLabel(one))));
    if (state.project) {
      measure.value = state.project.settings.measure;
      for (const option of measure.options) option.disabled = (option.value === "local" || option.value === "global") && state.project.model.state !== "ready";
    }
  });
  return h(
    "section",
    { "aria-labelledby": "layers-title" },
    h("h2", { id: "layers-title" }, t("Layers")),
    map.row,
    h("label", { class: "row" }, t("Opacity"), opacity, opacityText),
    confidence.row,
    marks.row,
    swipe.row,
    other,
    h("label", { class: "row" }, t("Method"), measure),
    h("p", { class: "quiet" }, ...tParts("Hold {key} to peek below the map.", { key: h("kbd", {}, t("Space")) })),
  );
}
