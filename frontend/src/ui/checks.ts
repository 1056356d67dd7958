/** Labels that contradict others: a list to jump from. */

import { sceneLabel } from "./scenes";
import { t, tParts } from "../i18n";
import type { SuspectMark } from "../core/types";
import type { Session } from "../session/session";
import { editClass } from "./classes";
import { h, icon, replace } from "./dom";

export function buildChecks(session: Session, goTo: (mark: SuspectMark) => void): HTMLElement {
  const { store } = session;
  const summary = h("p", { class: "quiet", role: "status", id: "checks-summary" });
  const list = h("ul", { class: "checks", "aria-labelledby": "checks-title" });
  const section = h("section", { id: "checks", "aria-labelledby": "checks-title" }, h("h2", { id: "checks-title" }, t("Labels to check")), summary, list);

  store.watch(["suspectLabels", "project", "scene"], ({ suspectLabels, project, scene }) => {
    const { marks, classes } = suspectLabels;
    const count = marks.length + classes.length;
    section.hidden = count === 0;
    summary.textContent = count === 0 ? "" : t("They contradict the other labels. Mark them anew or erase them where they are wrong.");
    const named = (id: number): HTMLElement => {
      const info = project?.classes.find((one) => one.id === id);
      const swatch = h("span", { class: "swatch small", "aria-hidden": "true" });
      swatch.style.background = info?.color ?? "transparent";
      return h("span", { class: "named" }, swatch, info?.name ?? String(id));
    };
    // The list is made anew, and the keyboard's place in it must not be lost.
    const focused = document.activeElement instanceof HTMLElement && list.contains(document.activeElement) ? document.activeElement.dataset["check"] : undefined;
    const item = (key: string, onclick: () => void, title: string, ...text: (Node | string)[]): HTMLElement =>
      h("li", {}, h("button", { type: "button", class: "check-item", "data-check": key, title, onclick }, icon("doubt"), h("span", {}, ...text)));
    replace(
      list,
      ...classes.map(([one, other]) =>
        item(`${one}-${other}`, () => editClass(session, one), t("Merge them, or mark them where they differ"), ...tParts("{one} and {other} cannot be told apart", { one: named(one), other: named(other) })),
      ),
      ...marks.map((mark) => {
        const on = mark.scene === scene?.id ? null : project?.scenes.find((one) => one.id === mark.scene);
        const where = [...(on ? [sceneLabel(on)] : []), t("row {row}, col {col}", { row: String(mark.row), col: String(mark.col) }), ...(mark.labels > 1 ? [t("{n} pixel|{n} pixels", { n: mark.labels })] : [])].join(", ");
        return item(`${mark.mark}-${mark.predicted}`, () => goTo(mark), t("Show it (K: the next one)"), ...tParts("{one} looks like {other}", { one: named(mark.class_id), other: named(mark.predicted) }), h("span", { class: "quiet" }, ` ${where}`));
      }),
    );
    if (focused) list.querySelector<HTMLElement>(`[data-check="${CSS.escape(focused)}"]`)?.focus();
  });
  return section;
}
