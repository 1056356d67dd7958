/** Wheel and trackpad: a notch of a wheel and a pinch zoom by whole steps, two fingers on a trackpad move the view. */

import Interaction from "ol/interaction/Interaction";
import type MapBrowserEvent from "ol/MapBrowserEvent";

export type WheelMove = { readonly kind: "zoom"; readonly steps: number } | { readonly kind: "pan"; readonly x: number; readonly y: number };

export type WheelInput = Pick<WheelEvent, "deltaX" | "deltaY" | "deltaMode" | "ctrlKey" | "timeStamp">;

/** `WheelEvent.DOM_DELTA_PIXEL`. */
const IN_PIXELS = 0;
/** Without an event for so long, a gesture is over. */
const PAUSE_MS = 400;
/** A wheel turns by at least this much at once, CSS pixels; a gesture on a trackpad begins with less. */
const SMALLEST_NOTCH = 40;
/** Browsers report a pinch that doubles the distance of the fingers as this many pixels in all: 100 ln 2. */
const PINCH_STEP = 69;
/** A step is taken a little before its end is reached, and taken back only well after its beginning: nothing flickers. */
const TAKEN_AT = 0.6;

/**
 * Reads a stream of wheel events as moves.
 *
 * Mouse wheels, trackpads and pinches all arrive as wheel events. A gesture is told by its first event: lines, or many pixels straight up or down,
 * are a wheel, and the size of that first notch measures the others. Anything else is a trackpad, on which browsers report a pinch as Ctrl + wheel.
 */
export class WheelReader {
  private lastAt = -Infinity;
  /** Pixels or lines a notch; null = a trackpad. */
  private notch: number | null = null;
  private turned = 0;

  read({ deltaX, deltaY, deltaMode, ctrlKey, timeStamp }: WheelInput): WheelMove | null {
    if (timeStamp - this.lastAt > PAUSE_MS) {
      const isWheel = deltaMode !== IN_PIXELS || (deltaX === 0 && Math.abs(deltaY) >= SMALLEST_NOTCH);
      this.notch = isWheel ? Math.abs(deltaY) || 1 : null;
      this.turned = 0;
    }
    this.lastAt = timeStamp;
    if (this.notch === null && !ctrlKey) return { kind: "pan", x: deltaX, y: deltaY };
    this.turned -= deltaY / (this.notch ?? PINCH_STEP);
    const steps = Math.sign(this.turned) * Math.ceil(Math.abs(this.turned) - TAKEN_AT);
    if (steps === 0) return null;
    this.turned -= steps;
    return { kind: "zoom", steps };
  }
}

export interface WheelHost {
  zoomBy(steps: number, anchor: readonly number[]): void;
  panBy(screenX: number, screenY: number): void;
}

export class WheelInteraction extends Interaction {
  private readonly reader = new WheelReader();

  constructor(private readonly host: WheelHost) {
    super();
  }

  override handleEvent(event: MapBrowserEvent): boolean {
    const wheel = event.originalEvent;
    if (event.type !== "wheel" || !(wheel instanceof WheelEvent)) return true;
    wheel.preventDefault();
    const move = this.reader.read(wheel);
    if (move?.kind === "zoom") this.host.zoomBy(move.steps, event.coordinate);
    else if (move) this.host.panBy(move.x, move.y);
    return false;
  }
}
