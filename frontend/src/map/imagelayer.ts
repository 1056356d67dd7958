/** The image itself, in its own grid: one tile pixel is one image pixel, or one picked out of 2^z x 2^z. */

import type Projection from "ol/proj/Projection";
import type RenderEvent from "ol/render/Event";
import TileLayer from "ol/layer/Tile";
import ImageTileSource from "ol/source/ImageTile";
import TileGrid from "ol/tilegrid/TileGrid";

import { api } from "../core/api";
import type { Scene } from "../core/types";
import { clipTo } from "./canvaslayer";

const TILE = 256;

function tileGrid(scene: Scene): TileGrid {
  const resolutions = Array.from({ length: scene.levels + 1 }, (_, i) => 2 ** (scene.levels - i));
  return new TileGrid({ extent: [0, -scene.height, scene.width, 0], origin: [0, 0], resolutions, tileSize: TILE });
}

/** OpenLayers names an address function by a counter; pictures that come back shall find their tiles again. */
class PictureSource extends ImageTileSource {
  setPicture(url: (z: number, x: number, y: number) => string, key: string): void {
    this.setUrl(url);
    this.setKey(key);
  }
}

export class ImageLayer extends TileLayer<PictureSource> {
  private clip: readonly [number, number] = [0, 1];
  private shown = "";

  constructor(className: string, zIndex: number) {
    super({ className, zIndex, preload: 0 });
    this.on("prerender", (event: RenderEvent) => {
      const context = event.context as CanvasRenderingContext2D;
      context.save();
      clipTo(context, this.clip, context.canvas.width, context.canvas.height);
    });
    this.on("postrender", (event: RenderEvent) => (event.context as CanvasRenderingContext2D).restore());
  }

  setClip(from: number, to: number): void {
    this.clip = [from, to];
    this.changed();
  }

  /** Show a scene with a band combination and stretch (`query`); the picture on show stays until the new one is there. */
  show(scene: Scene, query: string, projection: Projection): void {
    const key = `${scene.id}|${scene.fingerprint}|${query}`;
    if (key === this.shown) return;
    this.shown = key;
    let source = this.getSource();
    const url = (z: number, x: number, y: number): string => api.imageTileUrl(scene, query, scene.levels - z, x, y);
    if (!source || source.getProjection() !== projection) {
      source = new PictureSource({ url, projection, tileGrid: tileGrid(scene), interpolate: false, transition: 0, wrapX: false, zDirection: -1 });
      this.setSource(source);
    }
    source.setPicture(url, key);
  }

  /** Ask again for everything, as after the server was away. */
  reload(): void {
    this.getSource()?.refresh();
  }
}
