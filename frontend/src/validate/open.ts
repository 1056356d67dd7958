/** Which sample, and who answers: the way into the validation mode, and what comes out of it. */

import { formatPercent, t } from "../i18n";
import type { Session } from "../session/session";
import { h, icon, openDialog, replace } from "../ui/dom";
import { type Progress, type Sample, samplesApi, SETTLED } from "./api";
import { answerPoints } from "./answering";
import "./validate.css";

const NAME = "pixelkin.interpreter";
const GOAL = "pixelkin.goal";

export function openValidation(session: Session): void {
  const problem = h("p", { class: "warning", role: "alert", hidden: true });
  const list = h("div", { class: "samples" });
  // Where people have tokens, the server knows who answers.
  const known = session.store.get().people.you.name;
  const name = h("input", { type: "text", id: "interpreter", maxlength: 60, required: true, readonly: known !== "", value: known || (localStorage.getItem(NAME) ?? "1"), onchange: () => void refresh() });
  const goal = h("input", { type: "number", id: "goal", min: 0.1, max: 49, step: 0.1, value: localStorage.getItem(GOAL) ?? "2", onchange: () => void refresh() });
  const file = h("input", { type: "file", id: "sample-file", "aria-label": t("Sample points"), accept: ".gpkg,.geojson,.json,.csv", onchange: () => void open() });

  const fail = (error: unknown): void => {
    problem.hidden = false;
    replace(problem, icon("warning"), h("span", {}, error instanceof Error ? error.message : String(error)));
  };
  const open = async (): Promise<void> => {
    const chosen = file.files?.[0];
    if (!chosen) return;
    problem.hidden = true;
    try {
      await samplesApi.open(chosen);
      await refresh();
    } catch (error) {
      fail(error);
    }
  };
  const begin = (sample: Sample, interpreter: string): void => {
    if (!known) localStorage.setItem(NAME, name.value.trim());
    localStorage.setItem(GOAL, goal.value);
    dialog.close();
    answerPoints(session, sample, interpreter, Number(goal.value) / 100, () => openValidation(session)).catch((error: unknown) => session.report(error));
  };
  const interpreter = (): string => name.value.trim() || "1";

  const row = (sample: Sample, progress: Progress): HTMLElement => {
    const own = progress.interpreters[interpreter()] ?? 0;
    const said = Object.entries(progress.interpreters).map(([who, answers]) => t("{who}: {n} of {of}", { who, n: answers, of: sample.points }));
    const agreed = progress.agreements.map(({ first, second, points, same }) =>
      h("p", { class: "quiet agreement" }, t("{first} and {second} said the same at {share} of {n} point both answered|{first} and {second} said the same at {share} of {n} points both answered", { first, second, share: formatPercent(same / points), n: points })),
    );
    return h(
      "section",
      { class: "sample", "data-sample": sample.id },
      h("h3", {}, sample.name),
      h("p", { class: "quiet" }, [t("{n} point|{n} points", { n: sample.points }), ...said].join(" · ")),
      progress.marked > 0 && h("p", { class: "quiet" }, t("{n} point was marked and is not asked|{n} points were marked and are not asked", { n: progress.marked })),
      ...agreed,
      h(
        "div",
        { class: "actions start" },
        h("button", { type: "button", class: "button primary start-answering", onclick: () => begin(sample, interpreter()) }, own > 0 ? t("Go on answering") : t("Answer points")),
        progress.differences > 0 && h("button", { type: "button", class: "button settle", onclick: () => begin(sample, SETTLED) }, t("Settle {n} difference|Settle {n} differences", { n: progress.differences })),
        ...(["gpkg", "geojson", "csv"] as const).map((format) => h("a", { class: "button small", href: samplesApi.exportUrl(sample.id, format), download: "" }, { gpkg: "GeoPackage", geojson: "GeoJSON", csv: "CSV" }[format])),
      ),
    );
  };

  const refresh = async (): Promise<void> => {
    try {
      const samples = await samplesApi.list();
      const progress = await Promise.all(samples.map((sample) => samplesApi.progress(sample.id, interpreter(), Number(goal.value) / 100)));
      replace(list, ...samples.map((sample, i) => row(sample, progress[i]!)));
    } catch (error) {
      fail(error);
    }
  };

  const dialog = openDialog(
    t("Check the map by a sample"),
    h("p", {}, t("Points of `pixelkin sample` are shown one after the other, without the map. Your answers are no marks; `pixelkin evaluate` makes accuracy and areas of them.")),
    h(
      "form",
      { class: "fields", onsubmit: (event: Event) => event.preventDefault() },
      h("label", {}, t("File"), file),
      h("label", {}, t("Your name"), name),
      h("label", {}, t("Goal, ± %"), goal),
    ),
    problem,
    list,
  );
  dialog.classList.add("choose-sample");
  void refresh();
}
