/** What floats on the map: zoom buttons, the reason why there is no map yet, the confidence legend, the swipe's divider. */

import { sceneLabel } from "./scenes";
import { formatPercent, t, tServer } from "../i18n";
import { api } from "../core/api";
import type { MapView } from "../map/mapview";
import { type Session, sidesOf } from "../session/session";
import { byId, h, icon, iconButton, replace } from "./dom";

export function buildOverlay(session: Session, view: MapView): void {
  const { store } = session;
  const overlay = byId("overlay");

  const peek = iconButton("eye", `${t("Hold to peek below the map")} (${t("Space")})`, () => undefined, { id: "peek" });
  const hold = (on: boolean) => (event: Event) => {
    if (event instanceof KeyboardEvent && event.key !== " " && event.key !== "Enter") return;
    store.set({ peek: on });
  };
  for (const name of ["pointerdown", "keydown"]) peek.addEventListener(name, hold(true));
  for (const name of ["pointerup", "pointerleave", "pointercancel", "keyup", "blur"]) peek.addEventListener(name, hold(false));
  overlay.append(
    h(
      "div",
      { class: "zoom", role: "group", "aria-label": t("View") },
      peek,
      iconButton("plus", `${t("Zoom in")} (+)`, () => view.zoomBy(1)),
      iconButton("minus", `${t("Zoom out")} (-)`, () => view.zoomBy(-1)),
      iconButton("fit", `${t("Whole image")} (F)`, () => view.fit()),
    ),
  );

  const reason = h("div", { class: "reason", id: "reason", role: "status" });
  overlay.append(reason);
  store.watch(["project"], ({ project }) => {
    reason.hidden = !project || project.map.ready;
    reason.textContent = tServer(project?.map.reason ?? "");
  });

  const uncovered = h("div", { class: "uncovered-note", id: "uncovered", role: "status" });
  overlay.append(uncovered);
  store.watch(["uncovered", "scene", "mapVisible", "project"], (state) => {
    const found = state.scene && state.uncovered.get(state.scene.id);
    uncovered.hidden = !found || !state.project?.map.ready;
    if (!found) return;
    uncovered.title = found.warning ?? "";
    replace(uncovered, icon("warning"), h("span", {}, h("strong", {}, t("The labels do not cover this image.")), " ", t("{share} of it is like nothing that was marked, and its map may be wrong there. Mark some of its pixels.", { share: formatPercent(found.foreign ?? 0) })));
  });

  const suggestion = h("div", { class: "suggestion", id: "suggestion", role: "status" });
  overlay.append(suggestion);
  store.watch(["suggestion"], (state) => {
    suggestion.hidden = state.suggestion === null;
    if (state.suggestion) replace(suggestion, h("strong", {}, t("Mark here")), ` ${t("row {row}, col {col}", { row: String(state.suggestion.row), col: String(state.suggestion.col) })}: ${t("in doubt, and like many others")}. `, h("kbd", {}, "N"), ` ${t("next one")}`);
  });

  const ramp = h("canvas", { width: 256, height: 1, class: "ramp" });
  const legend = h("div", { class: "legend", role: "img", "aria-label": t("Confidence from 0 to 1, dark to light") }, h("span", {}, "0"), ramp, h("span", {}, "1"), h("span", { class: "quiet" }, t("confidence")));
  overlay.append(legend);
  let rampDrawn = false;
  store.watch(["confidenceVisible"], ({ confidenceVisible }) => {
    legend.hidden = !confidenceVisible;
    if (!confidenceVisible || rampDrawn) return;
    rampDrawn = true;
    api.confidenceRamp().then(
      (colors) => {
        const context = ramp.getContext("2d")!;
        colors.forEach((color, i) => {
          context.fillStyle = color;
          context.fillRect(i, 0, 1, 1);
        });
      },
      () => {
        rampDrawn = false;
      },
    );
  });

  const left = h("span", { class: "swipe-date left" });
  const right = h("span", { class: "swipe-date right" });
  const divider = h("div", { class: "divider", id: "divider", role: "slider", tabindex: 0, "aria-label": t("Divider between two dates"), "aria-valuemin": 0, "aria-valuemax": 100 }, left, h("span", { class: "grip", "aria-hidden": "true" }, "⟷"), right);
  overlay.append(divider);
  const moveTo = (swipe: number): void => store.set({ swipe: Math.max(0.02, Math.min(0.98, swipe)) });
  divider.addEventListener("pointerdown", (event) => {
    divider.setPointerCapture(event.pointerId);
    event.preventDefault();
    divider.focus();
  });
  divider.addEventListener("pointermove", (event) => {
    if (!divider.hasPointerCapture(event.pointerId)) return;
    const box = view.target.getBoundingClientRect();
    moveTo((event.clientX - box.left) / box.width);
  });
  divider.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    moveTo(store.get().swipe + step);
  });
  store.watch(["compare", "swipe", "scene"], (state) => {
    const { compare, swipe } = state;
    const [earlier, later] = sidesOf(state);
    divider.hidden = compare === null;
    divider.style.left = `${swipe * 100}%`;
    divider.setAttribute("aria-valuenow", String(Math.round(swipe * 100)));
    left.textContent = earlier ? sceneLabel(earlier) : "";
    right.textContent = later ? sceneLabel(later) : "";
  });
}
