/** Top bar: project, model and connection; undo, redo, import, export, jobs, help. */

import { chooseLanguage, formatNumber, formatPercent, language, LANGUAGES, t, type Language, type Text } from "../i18n";
import { standsOn } from "../core/sources";
import type { Session } from "../session/session";
import { isOver, type ModelInfo } from "../core/types";
import { byId, h, icon, iconButton, replace } from "./dom";

/** What decides the map, in a labeller's words. */
const MEASURES: Readonly<Record<ModelInfo["measure_in_use"], Text>> = {
  "learner on raw bands": "Map from band values",
  "learner on pretrained features": "Map from photo features",
  "learner on embeddings": "Map from ready-made vectors",
  "learner on features": "Map from trained features",
  l1: "Most similar mark, band values",
  local: "Most similar mark, close up",
  global: "Most similar mark, with surroundings",
};

export interface HeaderActions {
  importLabels: () => void;
  exportDialog: () => void;
  jobs: () => void;
  validate: () => void;
  help: () => void;
  togglePanel: () => void;
}

export function buildHeader(session: Session, actions: HeaderActions): void {
  const { store } = session;
  const project = h("span", { class: "project", id: "project-name" });
  const scene = h("span", { class: "scene", id: "scene-name" });
  const model = h("button", { type: "button", class: "chip", id: "model", onclick: actions.jobs });
  const connection = h("span", { class: "chip", id: "connection", role: "status" });
  const undo = iconButton("undo", t("Undo"), () => session.undo(), { id: "undo" });
  const redo = iconButton("redo", t("Redo"), () => session.redo(), { id: "redo" });
  const jobs = iconButton("jobs", `${t("Jobs")} (J)`, actions.jobs, { id: "jobs-button" });
  const badge = h("span", { class: "badge" });
  jobs.append(badge);
  const languages = h("select", { id: "language", "aria-label": t("Language"), title: t("Language"), onchange: () => chooseLanguage(languages.value as Language) });
  for (const [value, name] of Object.entries(LANGUAGES)) languages.append(h("option", { value, lang: value, selected: value === language }, name));
  byId("header").append(
    h("img", { src: "./favicon.svg", alt: "", width: 26, height: 26 }),
    h("h1", {}, "pixelkin"),
    project,
    scene,
    h("span", { class: "spacer" }),
    connection,
    model,
    undo,
    redo,
    iconButton("import", `${t("Import labels")} (I)`, actions.importLabels, { id: "import" }),
    iconButton("check", `${t("Check the map by a sample")} (T)`, actions.validate, { id: "validate" }),
    h("button", { type: "button", class: "button primary", id: "export", title: `${t("Export")} (X)`, onclick: actions.exportDialog }, icon("export"), h("span", {}, t("Export"))),
    jobs,
    languages,
    iconButton("help", `${t("Keys and help")} (?)`, actions.help, { id: "help" }),
    iconButton("panel", t("Show or hide the side panel"), actions.togglePanel, { id: "panel-toggle" }),
  );

  store.watch(["project", "scene"], (state) => {
    project.textContent = state.project?.name ?? "";
    scene.textContent = state.scene && state.scene.name !== state.project?.name ? state.scene.name : "";
    if (!state.project) return;
    document.title = `${state.project.name} – pixelkin`;
    const { can_undo, can_redo, undo_title, redo_title } = state.project;
    undo.disabled = !can_undo;
    redo.disabled = !can_redo;
    undo.title = can_undo && undo_title ? `${t("Undo")}: ${undo_title} (Ctrl+Z)` : `${t("Undo")} (Ctrl+Z)`;
    redo.title = can_redo && redo_title ? `${t("Redo")}: ${redo_title} (Ctrl+Shift+Z)` : `${t("Redo")} (Ctrl+Shift+Z)`;
  });

  store.watch(["project", "jobs"], (state) => {
    if (!state.project) return;
    const { state: condition, measure_in_use, job: jobId, message } = state.project.model;
    const training = state.jobs.find((one) => one.id === jobId) ?? state.jobs.find((one) => one.kind === "train" && !isOver(one));
    const percent = training ? ` ${formatPercent(training.progress)}` : "";
    const bar = h("span", { class: "chip-bar" });
    if (training) bar.style.width = `${training.progress * 100}%`;
    model.dataset["state"] = condition;
    model.dataset["measure"] = measure_in_use;
    model.title = [message, standsOn(state.project.model)].filter(Boolean).join(" ");
    const compared = t(MEASURES[measure_in_use]);
    const text = condition === "training" ? `${compared} · ${t("training")}${percent}` : condition === "failed" ? `${compared} · ${t("training failed")}` : compared;
    replace(model, condition === "training" && bar, h("span", {}, text));
    const running = state.jobs.filter((one) => !isOver(one)).length;
    badge.textContent = running > 0 ? formatNumber(running) : "";
    badge.hidden = running === 0;
  });

  store.watch(["online", "waiting"], ({ online, waiting }) => {
    connection.dataset["state"] = online ? (waiting > 0 ? "saving" : "saved") : "offline";
    connection.textContent = online ? (waiting > 0 ? t("Saving…") : t("Saved")) : waiting > 0 ? `${t("Server away")} · ${t("{n} to send", { n: waiting })}` : t("Server away");
  });
}
