/** Tool rail at the left, and the options of the tool in hand. */

import { t, type Text } from "../i18n";
import { kindOf, type Tool } from "../map/draw";
import type { Session } from "../session/session";
import { byId, h, iconButton, replace, type IconName } from "./dom";

export const LARGEST_BRUSH = 99;

export const TOOLS: readonly { tool: Tool; key: string; label: Text; hint: Text }[] = [
  { tool: "pan", key: "v", label: "Move the view", hint: "Drag to move, wheel or pinch to zoom." },
  { tool: "point", key: "p", label: "Point", hint: "Click a pixel to mark it." },
  { tool: "scribble", key: "s", label: "Scribble", hint: "Drag to paint. Right-drag or two fingers move the view." },
  { tool: "box", key: "b", label: "Box", hint: "Drag from corner to corner. Right-drag or two fingers move the view." },
  { tool: "polygon", key: "g", label: "Polygon", hint: "Click corners; double-click, Enter or the first corner closes it. Esc gives up." },
  { tool: "edit", key: "r", label: "Move and reshape marks", hint: "Drag a mark, a corner, or the middle of a side. Double-click takes a corner away, Delete the mark." },
  { tool: "erase", key: "e", label: "Erase", hint: "Drag over marks: pixels below lose their label. Right-drag or two fingers move the view." },
];

export function buildTools(session: Session, actions: { suggest: () => void }): void {
  const { store } = session;
  const buttons = TOOLS.map(({ tool, key, label }) =>
    iconButton(tool === "edit" ? "reshape" : (tool as IconName), `${t(label)} (${key.toUpperCase()})`, () => store.set({ tool }), { "data-tool": tool }),
  );
  const suggest = iconButton("next", `${t("Show me where next")} (N)`, actions.suggest, { class: "icon-button accent", id: "suggest" });
  byId("tools").append(...buttons, h("hr"), suggest);
  store.watch(["tool"], ({ tool }) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset["tool"] === tool));
  });

  const slider = h("input", {
    type: "range", min: 1, max: LARGEST_BRUSH, step: 1, "aria-label": t("Brush width in image pixels"), id: "brush",
    oninput: () => store.set({ brush: Number(slider.value) }),
  });
  const value = h("output", { for: "brush" });
  const hint = h("span", { class: "hint" });
  const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
  const name = h("strong");
  const brushBox = h("label", { class: "brush" }, t("Brush"), slider, value);
  const bar = h("div", { class: "tool-bar", id: "tool-bar" });
  byId("overlay").append(bar);
  store.watch(["tool", "brush", "classId", "project"], ({ tool, brush, classId, project }) => {
    slider.value = String(brush);
    value.textContent = t("{n} px", { n: brush });
    hint.textContent = t(TOOLS.find((one) => one.tool === tool)!.hint);
    const target = project?.classes.find((one) => one.id === classId);
    swatch.style.background = target?.color ?? "transparent";
    name.textContent = target?.name ?? t("No class yet");
    const marks = kindOf(tool) !== null && tool !== "erase";
    replace(bar, marks && swatch, marks && name, kindOf(tool) === "scribble" && brushBox, hint);
  });
}
