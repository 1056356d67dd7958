/** Side panel: classes, layers, picture. */

import { sceneLabel } from "./scenes";
import { formatPercent, t, tParts, type Text } from "../i18n";
import { pictureQuery, presets, sameBands, type Picture } from "../core/picture";
import type { SuspectMark, Mark, Measure } from "../core/types";
import type { Session } from "../session/session";
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

export function buildPanel(session: Session, actions: PanelActions): void {
  const marks = buildMarkList(session, { goToMark: actions.goToMark, choose: actions.chooseMarks });
  byId("panel").append(buildClasses(session, actions.goToOverlap), buildChecks(session, actions.goToDoubt), marks, buildLayers(session, actions.toggleSwipe), buildPicture(session));
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

const CHANNELS = ["Red", "Green", "Blue"] as const;
/** How a colour is called within a sentence, and by the style sheet. */
const COLORS = { Red: "red", Green: "green", Blue: "blue", Grey: "grey" } as const;

function buildPicture(session: Session): HTMLElement {
  const { store } = session;
  const preset = h("select", { id: "preset", "aria-label": t("Band combination") });
  const bands = h("div", { class: "bands" });
  const gamma = h("input", {
    type: "range", min: -1, max: 1, step: 0.05, id: "gamma", "aria-label": t("Gamma"),
    onchange: () => session.setPicture({ ...store.get().picture, gamma: Math.round(2 ** Number(gamma.value) * 100) / 100 }),
  });
  const automatic = h("button", { type: "button", class: "button small", id: "stretch-auto", onclick: () => session.setPicture({ ...store.get().picture, ranges: null, gamma: 1 }) }, t("Automatic stretch"));

  const setBand = (i: number, band: number): void => {
    const { picture } = store.get();
    session.setPicture({ ...picture, bands: picture.bands.map((one, at) => (at === i ? band : one)), ranges: null });
  };
  const setRange = (i: number, end: 0 | 1, value: number): void => {
    const { picture, statistics } = store.get();
    const ranges = picture.ranges ?? picture.bands.map((band) => [statistics[band - 1]?.p2 ?? 0, statistics[band - 1]?.p98 ?? 1] as const);
    const changed = ranges.map(([low, high], at) => (at !== i ? ([low, high] as const) : end === 0 ? ([value, high] as const) : ([low, value] as const)));
    if (changed.every(([low, high]) => Number.isFinite(low) && Number.isFinite(high) && low < high)) session.setPicture({ ...picture, ranges: changed });
    else session.notify("error", t("The stretch of band {band} runs from {low} to {high}, expected low below high. Give two numbers in order.", { band: i + 1, low: changed[i]![0], high: changed[i]![1] }));
  };

  const fill = (picture: Picture): void => {
    const { scene, statistics } = store.get();
    if (!scene) return;
    const colors = picture.bands.length === 3 ? CHANNELS : (["Grey"] as const);
    replace(
      bands,
      ...picture.bands.map((band, i) => {
        const about = statistics[band - 1];
        const [low, high] = picture.ranges?.[i] ?? [about?.p2, about?.p98];
        const choose = h("select", { "aria-label": t("Band shown as {color}", { color: t(COLORS[colors[i]!]) }), onchange: () => setBand(i, Number(choose.value)) }, ...scene.bands.map((name, at) => h("option", { value: String(at + 1), selected: at + 1 === band }, name)));
        const end = (which: 0 | 1, value: number | undefined): HTMLElement => {
          const input = h("input", {
            type: "number", step: "any", value: value === undefined ? "" : String(+value.toPrecision(5)),
            "aria-label": t(which === 0 ? "Lowest value of {color}" : "Highest value of {color}", { color: t(COLORS[colors[i]!]) }),
            title: about ? `${about.name}: ${+about.min.toPrecision(5)} to ${+about.max.toPrecision(5)}` : "",
            onchange: () => setRange(i, which, Number(input.value)),
          });
          return input;
        };
        return h("div", { class: "band" }, h("span", { class: `band-${COLORS[colors[i]!]}` }, t(colors[i]!)), choose, end(0, low), end(1, high));
      }),
    );
  };

  preset.addEventListener("change", () => {
    const { scene, picture } = store.get();
    const chosen = scene && presets(scene)[Number(preset.value)];
    if (chosen) session.setPicture({ ...picture, bands: chosen.bands, ranges: null });
  });
  store.watch(["scene", "picture", "statistics"], ({ scene, picture }) => {
    if (!scene) return;
    const found = presets(scene);
    const at = found.findIndex((one) => sameBands(one.bands, picture.bands));
    replace(preset, ...found.map((one, i) => h("option", { value: String(i), selected: i === at }, one.band ? t("{band} only", { band: one.band }) : t(one.name))), at < 0 && h("option", { value: "-1", selected: true }, t("Own choice")));
    gamma.value = String(Math.log2(picture.gamma));
    automatic.disabled = pictureQuery(picture) === pictureQuery({ ...picture, ranges: null, gamma: 1 });
    fill(picture);
  });
  return h(
    "section",
    { "aria-labelledby": "picture-title" },
    h("h2", { id: "picture-title" }, t("Image")),
    h("label", { class: "row" }, t("Bands"), preset),
    bands,
    h("label", { class: "row" }, t("Gamma"), gamma),
    automatic,
  );
}
