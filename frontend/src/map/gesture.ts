/** Safari reports a pinch on a trackpad as gesture events of its own, and not as Ctrl + wheel; without these it would zoom the whole page. */

import type { WheelHost } from "./wheel";

/** Share of a step at which it is taken, as for wheels. */
const TAKEN_AT = 0.6;

type GestureEvent = UIEvent & { readonly scale: number; readonly clientX: number; readonly clientY: number };

export function bindGestures(target: HTMLElement, host: WheelHost, coordinateOf: (event: { clientX: number; clientY: number }) => readonly number[]): void {
  let taken = 0;
  const on = (name: string, run: (event: GestureEvent) => void): void =>
    target.addEventListener(name, (event) => {
      event.preventDefault();
      run(event as GestureEvent);
    });
  on("gesturestart", () => (taken = 0));
  on("gesturechange", (event) => {
    const turned = Math.log2(event.scale) - taken;
    const steps = Math.sign(turned) * Math.ceil(Math.abs(turned) - TAKEN_AT);
    if (steps === 0) return;
    taken += steps;
    host.zoomBy(steps, coordinateOf(event));
  });
  on("gestureend", () => undefined);
}
