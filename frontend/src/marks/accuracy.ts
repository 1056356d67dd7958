/** How well the marks predict one another: overall, by class, and what the last marks changed. */

import type { Accuracy, ShareEstimate } from "../core/types";
import { formatNumber, formatPercent, t, tServer } from "../i18n";
import type { Session } from "../session/session";
import { h, replace } from "../ui/dom";

export function buildAccuracy(session: Session): HTMLElement {
  const { store } = session;
  const summary = h("p", { id: "accuracy-summary", role: "status" });
  const table = h("table", { class: "accuracy", id: "accuracy-classes" });
  const details = h(
    "details",
    { class: "marks", id: "accuracy" },
    h("summary", {}, h("h2", { id: "accuracy-title" }, t("Accuracy"))),
    summary,
    table,
    h("p", { class: "quiet" }, t("Each mark is predicted from the marks elsewhere; 95 % intervals in brackets. Marks are no random sample: this tells how well they agree, not how good the whole map is.")),
  );

  store.watch(["accuracy", "project"], ({ accuracy, project }) => {
    const { accuracy: overall, reason, checked } = accuracy;
    details.dataset["checked"] = String(checked);
    replace(summary, ...(overall ? [...share(overall), change(accuracy.change)] : [tServer(reason ?? "")]), !checked && h("span", { class: "quiet" }, ` ${t("being estimated…")}`));
    const rows = accuracy.classes.flatMap((one) => {
      const info = project?.classes.find(({ id }) => id === one.class_id);
      if (!info) return [];
      const swatch = h("span", { class: "swatch small", "aria-hidden": "true" });
      swatch.style.background = info.color;
      return [h("tr", {}, h("th", { scope: "row" }, swatch, " ", info.name), h("td", {}, ...share(one.recall), change(one.change)), h("td", {}, ...share(one.precision)))];
    });
    replace(
      table,
      rows.length > 0 && h("tr", {}, h("th", { scope: "col" }, t("Class")), h("th", { scope: "col", title: t("Of its marks, those that are predicted as it") }, t("found")), h("th", { scope: "col", title: t("Of marks predicted as it, its own") }, t("right"))),
      ...rows,
    );
  });
  return h("section", { "aria-labelledby": "accuracy-title" }, details);
}

const share = (one: ShareEstimate | null): (HTMLElement | string)[] =>
  one ? [h("strong", {}, formatPercent(one.value)), " ", h("span", { class: "quiet interval" }, `(${formatPercent(one.low)} – ${formatPercent(one.high)})`)] : ["–"];

/** What the last marks changed, in percentage points; nothing where it rounds to none. */
function change(by: Accuracy["change"]): HTMLElement | false {
  const points = Math.round((by ?? 0) * 100);
  if (points === 0) return false;
  return h("span", { class: points > 0 ? "gain" : "loss" }, ` ${points > 0 ? "▲" : "▼"} ${formatNumber(points, { signDisplay: "exceptZero" })}`);
}
