/** What of the image is shown: three bands, one, or an index of them; and between which values. */

import { pictureQuery, presets, sameBands, type Picture, type Preset } from "../core/picture";
import { t } from "../i18n";
import type { Session } from "../session/session";
import { h, replace } from "../ui/dom";
import { buildStretch } from "./stretch";

const CHANNELS = ["Red", "Green", "Blue"] as const;
/** How a colour is called within a sentence, and by the style sheet. */
const COLORS = { Red: "red", Green: "green", Blue: "blue", Grey: "grey" } as const;
const OWN_BANDS = "bands";
const OWN_FORMULA = "formula";

export function buildPicture(session: Session): HTMLElement {
  const { store } = session;
  const preset = h("select", { id: "preset", "aria-label": t("Band combination"), onchange: () => choose(preset.value) });
  const bands = h("div", { class: "bands" });
  const formula = h("input", { type: "text", id: "formula", maxlength: 200, required: true, autocomplete: "off", spellcheck: "false", "aria-label": t("Formula of the index"), placeholder: "(nir - red) / (nir + red)" });
  const formulaForm = h(
    "form",
    { class: "add-class", onsubmit: (event: Event) => (event.preventDefault(), void session.showIndex(formula.value.trim())) },
    formula,
    h("button", { type: "submit", class: "button" }, t("Show")),
  );
  const gamma = h("input", {
    type: "range", min: -1, max: 1, step: 0.05, id: "gamma", "aria-label": t("Gamma"),
    onchange: () => session.setPicture({ ...store.get().picture, gamma: Math.round(2 ** Number(gamma.value) * 100) / 100 }),
  });
  const gammaRow = h("label", { class: "row" }, t("Gamma"), gamma);
  const automatic = h("button", { type: "button", class: "button small", id: "stretch-auto", onclick: () => stretchAutomatically() }, t("Automatic stretch"));

  const choose = (value: string): void => {
    const { scene, picture } = store.get();
    const chosen = scene && presets(scene)[Number(value)];
    if (value === OWN_FORMULA) {
      formulaForm.hidden = false;
      formula.focus();
    } else if (chosen?.formula) void session.showIndex(chosen.formula);
    else if (chosen) session.setPicture({ ...picture, bands: chosen.bands, ranges: null, formula: null });
  };
  const stretchAutomatically = (): void => {
    const { picture } = store.get();
    if (picture.formula === null) session.setPicture({ ...picture, ranges: null, gamma: 1 });
    else void session.showIndex(picture.formula);
  };
  const setBand = (i: number, band: number): void => {
    const { picture } = store.get();
    session.setPicture({ ...picture, bands: picture.bands.map((one, at) => (at === i ? band : one)), ranges: null });
  };
  const setRange = (i: number, end: 0 | 1, value: number): void => {
    const { picture, statistics } = store.get();
    const ranges = picture.ranges ?? picture.bands.map((band) => [statistics[band - 1]?.p2 ?? 0, statistics[band - 1]?.p98 ?? 1] as const);
    const changed = ranges.map(([low, high], at) => (at !== i ? ([low, high] as const) : end === 0 ? ([value, high] as const) : ([low, value] as const)));
    const isInOrder = changed.every(([low, high]) => Number.isFinite(low) && Number.isFinite(high) && low < high);
    if (isInOrder) session.setPicture({ ...picture, ranges: changed });
    else {
      const [low, high] = changed[i]!;
      session.notify("error", t("The stretch of band {band} runs from {low} to {high}, expected low below high. Give two numbers in order.", { band: i + 1, low, high }));
      fill();
    }
  };

  const fill = (): void => {
    const { scene, statistics, picture, indexStatistics } = store.get();
    if (!scene) return;
    if (picture.formula !== null) {
      const about = indexStatistics?.name === picture.formula ? indexStatistics : null;
      const { numbers, histogram } = buildStretch({ color: t("the index"), className: "index-bars", about, range: picture.ranges?.[0] ?? null, change: (end, value) => setRange(0, end, value) });
      replace(bands, h("div", { class: "band" }, h("span", { class: "index-ramp", "aria-hidden": "true" }), h("span", {}, t("Index")), ...numbers), histogram);
      return;
    }
    const colors = picture.bands.length === 3 ? CHANNELS : (["Grey"] as const);
    replace(
      bands,
      ...picture.bands.flatMap((band, i) => {
        const about = statistics[band - 1] ?? null;
        const name = COLORS[colors[i]!];
        const range = picture.ranges?.[i] ?? (about && ([about.p2, about.p98] as const));
        const select = h("select", { "aria-label": t("Band shown as {color}", { color: t(name) }), onchange: () => setBand(i, Number(select.value)) }, ...scene.bands.map((one, at) => h("option", { value: String(at + 1), selected: at + 1 === band }, one)));
        const { numbers, histogram } = buildStretch({ color: t(name), className: `bars-${name}`, about, range, change: (end, value) => setRange(i, end, value) });
        return [h("div", { class: "band" }, h("span", { class: `band-${name}` }, t(colors[i]!)), select, ...numbers), histogram];
      }),
    );
  };

  store.watch(["scene", "picture", "statistics", "indexStatistics"], ({ scene, picture }) => {
    if (!scene) return;
    const found = presets(scene);
    const at = found.findIndex((one) => isShown(one, picture));
    const own = at >= 0 ? null : picture.formula === null ? OWN_BANDS : OWN_FORMULA;
    replace(
      preset,
      ...found.map((one, i) => h("option", { value: String(i), selected: i === at }, presetName(one))),
      own === OWN_BANDS && h("option", { value: OWN_BANDS, selected: true }, t("Own choice")),
      h("option", { value: OWN_FORMULA, selected: own === OWN_FORMULA }, t("Own formula…")),
    );
    formulaForm.hidden = picture.formula === null;
    if (picture.formula !== null) formula.value = picture.formula;
    gammaRow.hidden = picture.formula !== null;
    gamma.value = String(Math.log2(picture.gamma));
    automatic.disabled = picture.formula === null && pictureQuery(picture) === pictureQuery({ ...picture, ranges: null, gamma: 1 });
    fill();
  });
  return h(
    "section",
    { "aria-labelledby": "picture-title" },
    h("h2", { id: "picture-title" }, t("Image")),
    h("label", { class: "row" }, t("Bands"), preset),
    formulaForm,
    bands,
    gammaRow,
    automatic,
  );
}

const isShown = (one: Preset, picture: Picture): boolean => (one.formula ?? null) === picture.formula && (picture.formula !== null || sameBands(one.bands, picture.bands));

const presetName = (one: Preset): string => (one.band ? t("{band} only", { band: one.band }) : t(one.name));
