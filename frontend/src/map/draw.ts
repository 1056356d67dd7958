/** Turns pointer gestures on the map into marks; mouse, pen and finger alike. */

import type MapBrowserEvent from "ol/MapBrowserEvent";
import PointerInteraction from "ol/interaction/Pointer";

import { finishedGeometry, type Point } from "../core/geometry";
import type { Geometry, MarkKind } from "../core/types";

export type Tool = "pan" | "edit" | "point" | "scribble" | "box" | "polygon" | "erase";

export interface DrawHost {
  tool(): Tool;
  /** The geometry so far changed; null = nothing under way. */
  sketching(kind: MarkKind, points: readonly Point[] | null): void;
  finished(kind: MarkKind, geometry: Geometry): void;
  hover(point: Point | null): void;
}

/** Screen pixels within which a click hits a polygon's first point. */
const SNAP = 12;

export const kindOf = (tool: Tool): MarkKind | null => (tool === "pan" || tool === "edit" ? null : tool === "erase" ? "scribble" : tool);

/** Tools that use the drag themselves, so that it does not move the map. */
export const dragsWith = (tool: Tool): boolean => tool === "scribble" || tool === "erase" || tool === "box";

export class DrawInteraction extends PointerInteraction {
  private points: Point[] = [];
  private dragging = false;
  private downAt: readonly number[] = [0, 0];

  constructor(private readonly host: DrawHost) {
    super();
  }

  /** Give up what is under way. */
  cancel(): void {
    this.points = [];
    this.dragging = false;
    this.host.sketching("point", null);
  }

  get isDrawing(): boolean {
    return this.points.length > 0;
  }

  get lastPoint(): Point | undefined {
    return this.points[this.points.length - 1];
  }

  /** Close the polygon under way, if there is enough of it. */
  finishPolygon(): boolean {
    if (this.host.tool() !== "polygon" || this.points.length === 0) return false;
    const geometry = finishedGeometry("polygon", this.points);
    this.cancel();
    if (geometry) this.host.finished("polygon", geometry);
    return true;
  }

  /** Add a polygon corner or set a point, as a click or the keyboard does. */
  click(point: Point, resolution: number): void {
    const tool = this.host.tool();
    if (tool === "point") {
      this.host.finished("point", finishedGeometry("point", [point])!);
    } else if (tool === "polygon") {
      const first = this.points[0];
      if (first && this.points.length > 2 && Math.hypot(point[0] - first[0], point[1] - first[1]) < SNAP * resolution) {
        this.finishPolygon();
        return;
      }
      this.points.push(point);
      this.host.sketching("polygon", this.points);
    }
  }

  /** Begin, go on with and end a stroke or a box; the keyboard uses the same three as a drag. */
  begin(point: Point): void {
    this.points = [point];
    this.report();
  }

  extend(point: Point): void {
    this.points.push(point);
    this.report();
  }

  end(): void {
    const kind = kindOf(this.host.tool());
    const geometry = kind && finishedGeometry(kind, this.points);
    this.cancel();
    if (kind && geometry) this.host.finished(kind, geometry);
  }

  private report(): void {
    const kind = kindOf(this.host.tool());
    if (kind) this.host.sketching(kind, this.points);
  }

  override handleDownEvent(event: MapBrowserEvent<PointerEvent>): boolean {
    const tool = this.host.tool();
    if (tool === "pan" || tool === "edit" || event.originalEvent.button !== 0) return false;
    if (this.targetPointers.length > 1) return false;
    this.downAt = event.pixel;
    this.dragging = true;
    if (dragsWith(tool)) this.begin(pointOf(event));
    return true;
  }

  override handleDragEvent(event: MapBrowserEvent<PointerEvent>): void {
    this.host.hover(pointOf(event));
    if (this.dragging && this.targetPointers.length > 1) {
      // A second finger means a pinch: the stroke that the first one began was not meant.
      this.dragging = false;
      if (dragsWith(this.host.tool())) this.cancel();
    }
    if (!this.dragging || !dragsWith(this.host.tool())) return;
    // The browser merges moves between frames; a quick curve needs all of them.
    const merged = event.originalEvent.getCoalescedEvents?.() ?? [];
    for (const one of merged.length > 0 ? merged : [event.originalEvent]) {
      const [x, y] = event.map.getEventCoordinate(one);
      this.points.push([x!, -y!]);
    }
    this.report();
  }

  override handleUpEvent(event: MapBrowserEvent<PointerEvent>): boolean {
    if (!this.dragging) return false;
    this.dragging = false;
    const moved = Math.hypot(event.pixel[0]! - this.downAt[0]!, event.pixel[1]! - this.downAt[1]!);
    if (dragsWith(this.host.tool())) {
      // OpenLayers does not call a move of one screen pixel a drag; a box of two image pixels may be just that.
      this.points.push(pointOf(event));
      this.end();
    } else if (moved < 6) this.click(pointOf(event), event.map.getView().getResolution() ?? 1);
    return false;
  }

  override handleMoveEvent(event: MapBrowserEvent<PointerEvent>): void {
    this.host.hover(pointOf(event));
    if (this.host.tool() === "polygon" && this.points.length > 0) this.host.sketching("polygon", [...this.points, pointOf(event)]);
  }

  // The base class stops the drag of every tool; point and polygon leave it to the view.
  override stopDown(handled: boolean): boolean {
    return handled && dragsWith(this.host.tool());
  }
}

export function pointOf(event: MapBrowserEvent<PointerEvent>): Point {
  return [event.coordinate[0]!, -event.coordinate[1]!];
}
