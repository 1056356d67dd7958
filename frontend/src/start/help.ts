/** All keys, and the way back to the first steps. */

import { t, type Text } from "../i18n";
import type { Session } from "../session/session";
import { h, openDialog } from "../ui/dom";
import { sampleLink } from "./tour";

const HELP: readonly (readonly [Text, readonly (readonly [string, Text])[]])[] = [
  ["Mark", [
    ["1 – 9", "choose a class"], ["A", "add a class"], ["F2", "edit the chosen class"], ["P S B G E", "point, scribble, box, polygon, erase"], ["R", "move and reshape marks"], ["Del", "delete the mark in hand"], ["[ ]", "brush width"],
    ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"], ["N", "show me where next"], ["K", "next label to check"],
  ]],
  ["With the keyboard alone", [
    ["← ↑ → ↓", "move the pixel cursor on the map (Shift: 10 pixels)"], ["Enter", "mark the pixel; begin and end a scribble or box; add a corner"], ["Enter, Enter", "close a polygon"],
    ["Esc", "give up what is under way"],
  ]],
  ["Look", [
    ["Space", "hold: peek below the map"], ["M C L", "map, confidence, marks"], ["O, Shift+O", "opacity up, down"], [", .", "date before, date after"], ["W", "compare two dates"],
    ["+ − F", "zoom, whole image"], ["V", "move the view"],
  ]],
  ["Files", [["I", "import labels"], ["X", "export"], ["T", "Check the map by a sample"], ["J", "jobs"], ["?", "this help"]]],
];

export function openHelp(session: Session, startTour: () => void): void {
  const dialog = openDialog(
    t("Keys"),
    h("div", { class: "actions start help-start" }, h("button", { type: "button", class: "button", onclick: () => (dialog.close(), startTour()) }, t("First steps")), sampleLink(session)),
    h(
      "div",
      { class: "help" },
      ...HELP.map(([title, rows]) => h("section", {}, h("h3", {}, t(title)), h("dl", {}, ...rows.flatMap(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, t(text))])))),
    ),
  );
}
