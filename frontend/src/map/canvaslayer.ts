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

/**
 * OpenLayers draws all layers anew whenever one of them changes. These keep what they have drawn: a frame of the map costs them nothing while
 * the view and their own content stay, and a change of their content costs the other layers nothing.
 */
export abstract class CanvasLayer extends Layer<Source> {
  private readonly canvas = document.createElement("canvas");
  private readonly context = this.canvas.getContext("2d")!;
  private clip: readonly [number, number] = [0, 1];
  private stale = true;
  private waiting = false;
  /** What the last frame was drawn for. */
  protected screen: Screen | null = null;

  constructor(className: string, zIndex: number) {
    super({ zIndex });
    this.canvas.className = className;
  }

  protected abstract draw(screen: Screen): void;

  /** Draw only between two shares of the map's width, for the swipe. */
  setClip(from: number, to: number): void {
    if (from === this.clip[0] && to === this.clip[1]) return;
    this.clip = [from, to];
    this.refresh();
  }

  /** The content is another one: draw it in the next frame. */
  protected refresh(): void {
    this.stale = true;
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      // Where there is no frame yet, or the layer is not on show, OpenLayers asks when it is time.
      if (this.stale && this.screen && this.getVisible()) this.redraw();
    });
  }

  override render(frame: FrameState | null): HTMLElement {
    if (!frame) return this.canvas;
    const ratio = frame.pixelRatio;
    const width = Math.round(frame.size[0]! * ratio);
    const height = Math.round(frame.size[1]! * ratio);
    const opacity = String(this.getOpacity());
    if (this.canvas.style.opacity !== opacity) this.canvas.style.opacity = opacity;

    const { center, resolution } = frame.viewState;
    const [col, row] = [center[0]!, -center[1]!];
    const scale = ratio / resolution;
    // On whole pixels of the screen: half of one would leave it to rounding which image pixel is drawn there.
    const [left, top] = [width / 2 - col * scale, height / 2 - row * scale].map((edge) => Math.floor(edge + 0.5 + 1e-6)) as [number, number];
    const view = [col - width / 2 / scale, row - height / 2 / scale, col + width / 2 / scale, row + height / 2 / scale] as const;
    const last = this.screen;
    const isSame = last?.width === width && last.height === height && last.ratio === ratio && last.view.every((value, i) => value === view[i]);
    if (isSame && !this.stale) return this.canvas;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.canvas.style.width = `${width / ratio}px`;
      this.canvas.style.height = `${height / ratio}px`;
    }
    this.screen = {
      context: this.context,
      width,
      height,
      scale,
      ratio,
      resolution,
      x: (value) => value * scale + left,
      y: (value) => value * scale + top,
      view,
    };
    this.redraw();
    return this.canvas;
  }

  private redraw(): void {
    this.stale = false;
    this.onScreen((screen) => {
      screen.context.clearRect(0, 0, screen.width, screen.height);
      this.draw(screen);
    });
  }

  /** Draw on what the last frame left. */
  protected onScreen(draw: (screen: Screen) => void): void {
    if (!this.screen) return;
    this.context.save();
    this.context.imageSmoothingEnabled = false;
    clipTo(this.context, this.clip, this.screen.width, this.screen.height);
    draw(this.screen);
    this.context.restore();
  }
}

/** Clip a canvas to a vertical stripe given by shares of its width. */
export function clipTo(context: CanvasRenderingContext2D, [from, to]: readonly [number, number], width: number, height: number): void {
  if (from <= 0 && to >= 1) return;
  context.beginPath();
  context.rect(Math.round(from * width), 0, Math.round(to * width) - Math.round(from * width), height);
  context.clip();
}
