/** Takes a mark in hand: drags all of it or one of its corners; mouse, pen, finger and keyboard alike. */

import type MapBrowserEvent from "ol/MapBrowserEvent";
import PointerInteraction from "ol/interaction/Pointer";

import type { Point } from "../core/geometry";
import { dragged, gripAt, hits, withoutCorner, type Grip } from "../core/reshape";
import type { Geometry, Mark } from "../core/types";
import { pointOf } from "./draw";

export interface ReshapeHost {
  isOn(): boolean;
  /** Marks that may be taken under a point, the last drawn last. */
  marksAt(point: Point): readonly Mark[];
  /** The mark in hand, as it lies now; null = none. */
  holding(mark: Mark | null): void;
  finished(mark: Mark, geometry: Geometry): void;
  hover(point: Point): void;
}

/** Screen pixels within which something is hit: by a pointer, and by a finger. */
const REACH = { mouse: 8, touch: 18 };

export class ReshapeInteraction extends PointerInteraction {
  private mark: Mark | null = null;
  private drag: { readonly grip: Grip; readonly from: Point; geometry: Geometry } | null = null;

  constructor(private readonly host: ReshapeHost) {
    super();
  }

  /** The mark in hand. */
  get held(): Mark | null {
    return this.mark;
  }

  get isDragging(): boolean {
    return this.drag !== null;
  }

  /** Take a mark in hand, or lay it down. */
  take(mark: Mark | null): void {
    this.mark = mark;
    this.drag = null;
    this.host.holding(mark);
  }

  /** What the server says of the mark in hand; null = it is gone. */
  refresh(mark: Mark | null): void {
    if (!this.drag) this.take(mark);
  }

  /** Take what lies under a point; false = nothing does. */
  begin(point: Point, reach: number): boolean {
    const grip = this.mark && gripAt(this.mark, point, reach);
    if (!grip && !(this.mark && hits(this.mark, point, reach))) this.take(this.host.marksAt(point).findLast((one) => hits(one, point, reach)) ?? null);
    if (!this.mark) return false;
    this.drag = { grip: grip ?? { kind: "whole" }, from: point, geometry: this.mark.geometry };
    return true;
  }

  extend(point: Point): void {
    if (!this.mark || !this.drag) return;
    this.drag.geometry = dragged(this.mark, this.drag.grip, this.drag.from, point);
    this.host.holding({ ...this.mark, geometry: this.drag.geometry });
  }

  end(): void {
    const [mark, drag] = [this.mark, this.drag];
    this.drag = null;
    if (mark && drag && JSON.stringify(drag.geometry) !== JSON.stringify(mark.geometry)) this.change(mark, drag.geometry);
  }

  /** Take the corner under a point away. */
  removeCorner(point: Point, reach: number): boolean {
    const grip = this.mark && gripAt(this.mark, point, reach);
    const geometry = grip && withoutCorner(this.mark!, grip);
    if (geometry) this.change(this.mark!, geometry);
    return geometry !== null;
  }

  private change(mark: Mark, geometry: Geometry): void {
    this.take({ ...mark, geometry });
    this.host.finished(mark, geometry);
  }

  override handleDownEvent(event: MapBrowserEvent<PointerEvent>): boolean {
    if (!this.host.isOn() || event.originalEvent.button !== 0 || this.targetPointers.length > 1) return false;
    return this.begin(pointOf(event), reachOf(event));
  }

  override handleDragEvent(event: MapBrowserEvent<PointerEvent>): void {
    this.host.hover(pointOf(event));
    // A second finger means a pinch.
    if (this.targetPointers.length > 1) this.take(this.mark);
    else this.extend(pointOf(event));
  }

  override handleUpEvent(): boolean {
    this.end();
    return false;
  }
}

/** In image pixels. */
export function reachOf(event: MapBrowserEvent<PointerEvent>): number {
  return (event.originalEvent.pointerType === "touch" ? REACH.touch : REACH.mouse) * (event.map.getView().getResolution() ?? 1);
}
