/** An OpenLayers layer that draws on a canvas of its own, on the image's pixel grid. */

import type { FrameState } from "ol/Map";
import Layer from "ol/layer/Layer";
import type Source from "ol/source/Source";

/** From pixel space (column, row) to device pixels of the canvas. */
export interface Screen {
  readonly context: CanvasRenderingContext2D;
  readonly width: number;
  readonly height: number;
  /** Device pixels an image pixel. */
  readonly scale: number;
  /** Device pixels a CSS pixel. */
  readonly ratio: number;
  x(col: number): number;
  y(row: number): number;
  /** Left, top, right, bottom of what is in view, in pixel space. */
  readonly view: readonly [number, number, number, number];
  /** Image pixels a CSS pixel. */
  readonly resolution: number;
}

export abstract class CanvasLayer extends Layer<Source> {
  private readonly canvas = document.createElement("canvas");
  private readonly context = this.canvas.getContext("2d")!;
  private clip: readonly [number, number] = [0, 1];

  constructor(className: string, zIndex: number) {
    super({ zIndex });
    this.canvas.className = className;
  }

  protected abstract draw(screen: Screen): void;

  /** Draw only between two shares of the map's width, for the swipe. */
  setClip(from: number, to: number): void {
    if (from === this.clip[0] && to === this.clip[1]) return;
    this.clip = [from, to];
    this.changed();
  }

  override render(frame: FrameState | null): HTMLElement {
    if (!frame) return this.canvas;
    const ratio = frame.pixelRatio;
    const width = Math.round(frame.size[0]! * ratio);
    const height = Math.round(frame.size[1]! * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.canvas.style.width = `${width / ratio}px`;
      this.canvas.style.height = `${height / ratio}px`;
    } else {
      this.context.clearRect(0, 0, width, height);
    }
    const opacity = String(this.getOpacity());
    if (this.canvas.style.opacity !== opacity) this.canvas.style.opacity = opacity;

    const { center, resolution } = frame.viewState;
    const [col, row] = [center[0]!, -center[1]!];
    const scale = ratio / resolution;
    const screen: Screen = {
      context: this.context,
      width,
      height,
      scale,
      ratio,
      resolution,
      x: (value) => (value - col) * scale + width / 2,
      y: (value) => (value - row) * scale + height / 2,
      view: [col - width / 2 / scale, row - height / 2 / scale, col + width / 2 / scale, row + height / 2 / scale],
    };
    this.context.save();
    this.context.imageSmoothingEnabled = false;
    clipTo(this.context, this.clip, width, height);
    this.draw(screen);
    this.context.restore();
    return this.canvas;
  }
}

/** Clip a canvas to a vertical stripe given by shares of its width. */
export function clipTo(context: CanvasRenderingContext2D, [from, to]: readonly [number, number], width: number, height: number): void {
  if (from <= 0 && to >= 1) return;
  context.beginPath();
  context.rect(Math.round(from * width), 0, Math.round(to * width) - Math.round(from * width), height);
  context.clip();
}
