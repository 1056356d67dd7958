/** The keyboard: one table of keys for the page, and a pixel cursor on the map. */

import type { Point } from "../core/geometry";
import { dragsWith, type DrawInteraction } from "../map/draw";
import type { ReshapeInteraction } from "../map/reshape";
import type { MapView } from "../map/mapview";
import type { Session } from "../session/session";
import { LARGEST_BRUSH, TOOLS } from "./tools";

export interface KeyActions {
  readonly [key: string]: () => void;
}

/** Screen pixels within which the pixel cursor hits a mark. */
const REACH = 8;

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.matches("textarea, select, [contenteditable]") || (target instanceof HTMLInputElement && !["checkbox", "radio", "range", "button"].includes(target.type)));

export function bindKeys(session: Session, view: MapView, draw: DrawInteraction, reshape: ReshapeInteraction, actions: KeyActions, hover: (point: Point) => void): void {
  const { store } = session;
  const map = view.target;
  let cell: [number, number] | null = null;

  const showCell = (at: [number, number] | null): void => {
    cell = at;
    view.sketch.setCell(at);
    if (at) hover(at);
  };
  const moveCell = (dx: number, dy: number): void => {
    const { scene } = store.get();
    if (!scene) return;
    const from = cell ?? (view.centre.map(Math.floor).map((value) => value + 0.5) as [number, number]);
    const clamp = (value: number, size: number): number => Math.max(0.5, Math.min(size - 0.5, value));
    const next: [number, number] = cell ? [clamp(from[0] + dx, scene.width), clamp(from[1] + dy, scene.height)] : [clamp(from[0], scene.width), clamp(from[1], scene.height)];
    showCell(next);
    view.keepInView(next);
    if (reshape.isDragging) reshape.extend(next);
    else if (draw.isDrawing && dragsWith(store.get().tool)) draw.extend(next);
  };
  const enter = (): void => {
    if (!cell) {
      moveCell(0, 0);
      return;
    }
    const { tool } = store.get();
    if (tool === "edit") {
      if (reshape.isDragging) reshape.end();
      else reshape.begin(cell, REACH * view.resolution);
      return;
    }
    if (dragsWith(tool)) {
      if (draw.isDrawing) draw.end();
      else draw.begin(cell);
      return;
    }
    if (tool === "polygon" && draw.isDrawing && draw.lastPoint?.[0] === cell[0] && draw.lastPoint[1] === cell[1]) {
      draw.finishPolygon();
      return;
    }
    draw.click(cell, view.resolution);
  };

  map.addEventListener("pointerdown", () => showCell(null));
  map.addEventListener("blur", () => view.sketch.setCell(null));
  map.addEventListener("focus", () => {
    if (map.matches(":focus-visible") && cell) view.sketch.setCell(cell);
  });

  const onMap = (event: KeyboardEvent): boolean => {
    const step = event.shiftKey ? 10 : 1;
    switch (event.key) {
      case "ArrowLeft":
        moveCell(-step, 0);
        return true;
      case "ArrowRight":
        moveCell(step, 0);
        return true;
      case "ArrowUp":
        moveCell(0, -step);
        return true;
      case "ArrowDown":
        moveCell(0, step);
        return true;
      case "Enter":
        // With the pointer on the map, Enter closes the polygon under way.
        if (!cell && draw.finishPolygon()) return true;
        enter();
        return true;
      default:
        return false;
    }
  };

  const onPage = (event: KeyboardEvent): boolean => {
    const state = store.get();
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (key === "z") event.shiftKey ? session.redo() : session.undo();
      else if (key === "y") session.redo();
      else return false;
      return true;
    }
    if (event.altKey) return false;
    const tool = TOOLS.find((one) => one.key === key);
    if (tool) {
      store.set({ tool: tool.tool });
      return true;
    }
    const chosen = state.project?.classes.find((one) => one.key === event.key);
    if (chosen) {
      store.set({ classId: chosen.id, ...(state.tool === "pan" || state.tool === "erase" ? { tool: "point" as const } : {}) });
      return true;
    }
    const widen = Math.max(1, Math.round(state.brush * 0.15));
    switch (event.key) {
      case "Delete":
      case "Backspace": {
        const { held } = reshape;
        if (!held) return false;
        if (!(cell && reshape.removeCorner(cell, REACH * view.resolution))) session.deleteMark(held);
        return true;
      }
      case "Escape":
        draw.cancel();
        reshape.take(null);
        store.set({ suggestion: null });
        showCell(null);
        return true;
      case "[":
        store.set({ brush: Math.max(1, state.brush - widen) });
        return true;
      case "]":
        store.set({ brush: Math.min(LARGEST_BRUSH, state.brush + widen) });
        return true;
      case ",":
        void session.stepDate(-1);
        return true;
      case ".":
        void session.stepDate(1);
        return true;
      case "+":
      case "=":
        view.zoomBy(1);
        return true;
      case "-":
        view.zoomBy(-1);
        return true;
      case "o":
        store.set({ mapOpacity: Math.min(1, state.mapOpacity + 0.1) });
        return true;
      case "O":
        store.set({ mapOpacity: Math.max(0, state.mapOpacity - 0.1) });
        return true;
    }
    const action = actions[key];
    action?.();
    return action !== undefined;
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") (event.target as HTMLElement).blur();
      // The field for the next class stays in focus after the last one: what no class is called chooses, asks or edits.
      const isIdle = event.target instanceof HTMLInputElement && event.target.id === "new-class" && event.target.value === "";
      const chooses = store.get().project?.classes.some((one) => one.key === event.key);
      if (event.key !== "F2" && !(isIdle && (chooses || event.key === "?"))) return;
      if (onPage(event)) event.preventDefault();
      if (chooses) map.focus();
      return;
    }
    const onControl = event.target instanceof HTMLElement && event.target.matches("button, a, input, summary, [role=slider]");
    if (event.key === " " && !onControl) {
      store.set({ peek: true });
      event.preventDefault();
      return;
    }
    // A control in focus keeps the keys that work it.
    if (onControl && (event.key === "Enter" || event.key === " " || event.key.startsWith("Arrow"))) return;
    const isHandled = (event.target === map && onMap(event)) || onPage(event);
    if (isHandled) event.preventDefault();
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " ") store.set({ peek: false });
  });
  window.addEventListener("blur", () => store.set({ peek: false }));
}

