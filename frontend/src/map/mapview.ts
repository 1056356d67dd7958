/** The map of the page: layers in the image's own pixel grid, and the view on them. */

import OlMap from "ol/Map";
import View from "ol/View";
import Projection from "ol/proj/Projection";
import DoubleClickZoom from "ol/interaction/DoubleClickZoom";
import DragPan from "ol/interaction/DragPan";
import PinchZoom from "ol/interaction/PinchZoom";
import type MapBrowserEvent from "ol/MapBrowserEvent";

import type { Point } from "../core/geometry";
import type { Scene } from "../core/types";
import { AnswerLayer, type Palette } from "./answerlayer";
import { Backdrop } from "./backdrop";
import { ImageLayer } from "./imagelayer";
import { MarkLayer, SketchLayer } from "./marklayer";
import { WheelInteraction } from "./wheel";
import { bindGestures } from "./gesture";
import { fittedResolution, zoomLevels } from "./zoomlevels";

/** Image pixels a screen pixel at which single ones are seen. */
const CLOSE = 0.25;
/** Room left around an image that is shown whole, CSS pixels. */
const MARGIN = 12;

export interface Overlay {
  readonly image: ImageLayer;
  readonly map: AnswerLayer;
  readonly confidence: AnswerLayer;
  readonly marks: MarkLayer;
}

export class MapView {
  readonly olMap: OlMap;
  readonly left: Overlay;
  readonly right: Overlay;
  readonly doubleClickZoom = new DoubleClickZoom({ duration: 120 });
  readonly sketch = new SketchLayer();
  private readonly backdrop = new Backdrop();
  private projection: Projection | null = null;
  private grid = "";
  private coarsest = 1;
  /** What `fit` showed, while nobody has moved the view since. */
  private fitted: { readonly center: readonly number[]; readonly resolution: number } | null = null;

  constructor(
    readonly target: HTMLElement,
    tileSize: () => number,
    palettes: { classes: () => Promise<Palette>; confidence: () => Promise<Palette> },
    onError: (error: unknown) => void,
    /** True while a drag belongs to the tool and not to the view. */
    toolDrags: (event: MapBrowserEvent) => boolean,
  ) {
    const overlay = (side: string, z: number): Overlay => ({
      image: new ImageLayer(`layer-image-${side}`, z),
      map: new AnswerLayer("classes", z + 1, tileSize, palettes.classes, onError),
      confidence: new AnswerLayer("confidence", z + 2, tileSize, palettes.confidence, onError),
      marks: new MarkLayer(z + 3),
    });
    this.left = overlay("left", 10);
    this.right = overlay("right", 20);
    this.olMap = new OlMap({
      target,
      controls: [],
      interactions: [
        new DragPan({ condition: (event) => !toolDrags(event) }),
        new PinchZoom(),
        this.doubleClickZoom,
        new WheelInteraction(this),
      ],
      layers: [this.backdrop, ...Object.values(this.left), ...Object.values(this.right), this.sketch],
      maxTilesLoading: 12,
    });
    for (const layer of Object.values(this.right)) layer.setVisible(false);
    bindGestures(target, this, (event) => this.olMap.getEventCoordinate(event as MouseEvent));
    // The whole image stays the whole image when the window or a panel changes its size.
    this.olMap.on("change:size", () => this.isWhole && this.fit());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.backdrop.restyle());
  }

  /** Open a scene's grid; the view stays where it is when the grid is the same, as along a series. */
  setScene(scene: Scene): Projection {
    this.backdrop.setScene(scene);
    const grid = `${scene.width}x${scene.height}@${scene.series}`;
    if (this.projection && grid === this.grid) return this.projection;
    this.grid = grid;
    const extent = [0, -scene.height, scene.width, 0];
    this.projection = new Projection({ code: `PIXELS-${grid}`, units: "pixels", extent });
    this.coarsest = 2 ** (scene.levels + 1);
    this.olMap.updateSize();
    this.fit();
    return this.projection;
  }

  /** Show the whole image, as large as it goes. */
  fit(): void {
    const extent = this.projection?.getExtent();
    const size = this.olMap.getSize();
    if (!extent || !size || !size[0] || !size[1]) return;
    const [width, height] = [extent[2]!, -extent[1]!];
    const resolution = fittedResolution([width, height], [Math.max(1, size[0] - 2 * MARGIN), Math.max(1, size[1] - 2 * MARGIN)]);
    const center = [width / 2, -height / 2];
    this.olMap.setView(
      new View({
        projection: this.projection!,
        extent,
        constrainOnlyCenter: true,
        smoothExtentConstraint: false,
        resolutions: zoomLevels(this.coarsest, resolution),
        constrainResolution: true,
        enableRotation: false,
        center,
        resolution,
      }),
    );
    this.fitted = { center, resolution };
  }

  private get isWhole(): boolean {
    const center = this.olMap.getView().getCenter();
    return this.fitted?.resolution === this.resolution && this.fitted.center.every((value, i) => value === center?.[i]);
  }

  /** Zoom by whole steps; `anchor` stays where it is on the screen, the middle of the view where none is given. */
  zoomBy(steps: number, anchor?: readonly number[]): void {
    const view = this.olMap.getView();
    const [before, center] = [view.getResolution(), view.getCenter()];
    if (!before || !center) return;
    const zoom = Math.round(view.getZoom() ?? 0) + steps;
    const after = view.getResolutionForZoom(Math.max(view.getMinZoom(), Math.min(view.getMaxZoom(), zoom)));
    const fixed = anchor ?? center;
    view.setResolution(after);
    view.setCenter(center.map((value, i) => fixed[i]! - ((fixed[i]! - value) * after) / before));
  }

  panBy(screenX: number, screenY: number): void {
    const view = this.olMap.getView();
    const center = view.getCenter();
    const resolution = view.getResolution();
    if (center && resolution) view.setCenter([center[0]! + screenX * resolution, center[1]! - screenY * resolution]);
  }

  /** Centre on a point of pixel space, close enough to see single pixels and far enough to see `span` of them. */
  goTo([x, y]: Point, span = 0): void {
    const view = this.olMap.getView();
    view.setCenter([x, -y]);
    const needed = span / (0.7 * Math.min(...(this.olMap.getSize() ?? [1])));
    const wanted = Math.max(CLOSE, 2 ** Math.ceil(Math.log2(needed)));
    if (this.resolution > wanted || this.resolution < needed) view.setResolution(wanted);
  }

  /** Bring a point into view without changing the zoom. */
  keepInView([x, y]: Point): void {
    const size = this.olMap.getSize();
    const pixel = this.olMap.getPixelFromCoordinate([x, -y]) as number[] | null;
    if (!size || !pixel) return;
    const margin = 48;
    const over = (value: number, end: number): number => (value < margin ? value - margin : value > end - margin ? value - end + margin : 0);
    const [dx, dy] = [over(pixel[0]!, size[0]!), over(pixel[1]!, size[1]!)];
    if (dx || dy) this.panBy(dx, dy);
  }

  get centre(): Point {
    const center = this.olMap.getView().getCenter() ?? [0, 0];
    return [center[0]!, -center[1]!];
  }

  get resolution(): number {
    return this.olMap.getView().getResolution() ?? 1;
  }
}
