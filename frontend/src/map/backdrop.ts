/** A hatch where the image lies: it shows through wherever there is no data. */

import type { Scene } from "../core/types";
import { CanvasLayer, type Screen } from "./canvaslayer";

const CELL = 8;

export class Backdrop extends CanvasLayer {
  private scene: Scene | null = null;
  private pattern: HTMLCanvasElement | null = null;

  constructor() {
    super("layer-backdrop", 0);
  }

  setScene(scene: Scene): void {
    this.scene = scene;
    this.refresh();
  }

  /** Colours follow the theme. */
  restyle(): void {
    this.pattern = null;
    this.refresh();
  }

  protected override draw({ context, x, y, ratio, scale }: Screen): void {
    if (!this.scene) return;
    this.pattern ??= checkerboard(Math.round(CELL * ratio));
    context.fillStyle = context.createPattern(this.pattern, "repeat")!;
    const [left, top] = [Math.round(x(0)), Math.round(y(0))];
    // The pattern travels with the image.
    context.translate(left, top);
    context.fillRect(0, 0, Math.round(this.scene.width * scale), Math.round(this.scene.height * scale));
  }
}

function checkerboard(cell: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 2 * cell;
  const context = canvas.getContext("2d")!;
  const style = getComputedStyle(document.documentElement);
  context.fillStyle = style.getPropertyValue("--nodata-a");
  context.fillRect(0, 0, 2 * cell, 2 * cell);
  context.fillStyle = style.getPropertyValue("--nodata-b");
  context.fillRect(0, 0, cell, cell);
  context.fillRect(cell, cell, cell, cell);
  return canvas;
}
