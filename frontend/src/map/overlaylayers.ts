/** What a user lays over the images: outlines of their own, rasters of their own, and background maps. */

import { boundsOf, type Point } from "../core/geometry";
import { pixelOf, tileUrl, worldTiles, type WorldTile } from "../core/mercator";
import type { Geometry, Scene } from "../core/types";
import { CanvasLayer, type Screen } from "./canvaslayer";
import { levelFor, tilesInView } from "./answerlayer";

export interface OverlayLayer extends CanvasLayer {
  setScene(scene: Scene): void;
}

export class VectorOverlay extends CanvasLayer implements OverlayLayer {
  private shapes: readonly Geometry[] = [];
  private asked: number | null = null;
  private color = "#ff3ea5";
  private filled = false;

  constructor(
    zIndex: number,
    private readonly load: (scene: Scene) => Promise<readonly Geometry[]>,
  ) {
    super("layer-overlay", zIndex);
  }

  setScene(scene: Scene): void {
    // The dates of a series lie on one grid.
    if (scene.series === this.asked) return;
    this.asked = scene.series;
    this.shapes = [];
    this.refresh();
    void this.load(scene).then((shapes) => {
      if (this.asked !== scene.series) return;
      this.shapes = shapes;
      this.refresh();
    });
  }

  setStyle(color: string, filled: boolean): void {
    [this.color, this.filled] = [color, filled];
    this.refresh();
  }

  protected override draw(screen: Screen): void {
    const { context, ratio, view } = screen;
    context.lineJoin = "round";
    for (const shape of this.shapes) {
      const [left, top, right, bottom] = boundsOf(shape);
      if (right < view[0] || left > view[2] || bottom < view[1] || top > view[3]) continue;
      context.beginPath();
      trace(screen, shape);
      if (this.filled && shape.type.includes("Polygon")) {
        context.globalAlpha = 0.35;
        context.fillStyle = this.color;
        context.fill("evenodd");
        context.globalAlpha = 1;
      }
      for (const [width, style] of [[3.5, "rgba(0,0,0,0.55)"], [1.75, this.color]] as const) {
        context.lineWidth = width * ratio;
        context.strokeStyle = style;
        context.stroke();
      }
    }
  }
}

function trace({ context, x, y, ratio }: Screen, shape: Geometry): void {
  const dot = ([px, py]: Point): void => {
    context.moveTo(x(px) + 4 * ratio, y(py));
    context.arc(x(px), y(py), 4 * ratio, 0, 2 * Math.PI);
  };
  const line = (points: readonly Point[]): void => points.forEach(([px, py], i) => (i === 0 ? context.moveTo(x(px), y(py)) : context.lineTo(x(px), y(py))));
  switch (shape.type) {
    case "Point":
      return dot(shape.coordinates);
    case "MultiPoint":
      return shape.coordinates.forEach(dot);
    case "LineString":
      return line(shape.coordinates);
    case "MultiLineString":
    case "Polygon":
      return shape.coordinates.forEach(line);
    case "MultiPolygon":
      return shape.coordinates.flat().forEach(line);
  }
}

const MOST_PICTURES = 400;

/** Pictures of tiles, each asked for once; those long unused go first. */
class Pictures {
  private readonly known = new Map<string, HTMLImageElement>();

  constructor(private readonly arrived: () => void) {}

  get(url: string): HTMLImageElement | null {
    let image = this.known.get(url);
    if (!image) {
      image = new Image();
      image.onload = this.arrived;
      image.src = url;
      if (this.known.size >= MOST_PICTURES) this.known.delete(this.known.keys().next().value!);
    } else this.known.delete(url);
    this.known.set(url, image);
    return image.complete && image.naturalWidth > 0 ? image : null;
  }
}

const TILE = 256;

export class RasterOverlay extends CanvasLayer implements OverlayLayer {
  private scene: Scene | null = null;
  private readonly pictures = new Pictures(() => this.refresh());

  constructor(
    zIndex: number,
    private readonly url: (scene: Scene, z: number, x: number, y: number) => string,
  ) {
    super("layer-overlay", zIndex);
  }

  setScene(scene: Scene): void {
    // The dates of a series lie on one grid: tiles of one are those of all.
    if (scene.series !== this.scene?.series) this.scene = scene;
    this.refresh();
  }

  protected override draw(screen: Screen): void {
    if (!this.scene) return;
    const z = levelFor(screen.resolution, this.scene.levels);
    const span = TILE * 2 ** z;
    for (const { x, y } of tilesInView(this.scene, z, TILE, screen.view)) {
      const picture = this.pictures.get(this.url(this.scene, z, x, y));
      const [left, top] = [Math.round(screen.x(x * span)), Math.round(screen.y(y * span))];
      if (picture) screen.context.drawImage(picture, left, top, Math.round(screen.x((x + 1) * span)) - left, Math.round(screen.y((y + 1) * span)) - top);
    }
  }
}

/** Pieces a side in which a tile is laid on the image, each by a straight map of its own: the image's grid may be turned and bent against the world's. */
const PIECES = 4;

export class BackgroundOverlay extends CanvasLayer implements OverlayLayer {
  private scene: Scene | null = null;
  private readonly pictures = new Pictures(() => this.refresh());
  private readonly corners = new Map<string, Point>();

  constructor(
    zIndex: number,
    private readonly address: string,
  ) {
    super("layer-overlay", zIndex);
  }

  setScene(scene: Scene): void {
    if (scene.series !== this.scene?.series) this.corners.clear();
    this.scene = scene;
    this.refresh();
  }

  protected override draw(screen: Screen): void {
    if (!this.scene?.lonlat) return;
    screen.context.imageSmoothingEnabled = true;
    for (const tile of worldTiles(this.scene.lonlat, screen.view, screen.resolution / screen.ratio)) {
      const picture = this.pictures.get(tileUrl(this.address, tile));
      if (picture) this.lay(screen, tile, picture);
    }
  }

  private corner(tile: WorldTile, i: number, j: number): Point {
    const n = 2 ** tile.z * PIECES;
    const at: Point = [(tile.x * PIECES + i) / n, (tile.y * PIECES + j) / n];
    const key = `${at[0]},${at[1]}`;
    let found = this.corners.get(key);
    if (!found) this.corners.set(key, (found = pixelOf(this.scene!.lonlat!, this.scene!, at)));
    return found;
  }

  private lay({ context, x, y }: Screen, tile: WorldTile, picture: HTMLImageElement): void {
    const piece = picture.naturalWidth / PIECES;
    for (let j = 0; j < PIECES; j++) {
      for (let i = 0; i < PIECES; i++) {
        const [from, right, down] = [this.corner(tile, i, j), this.corner(tile, i + 1, j), this.corner(tile, i, j + 1)];
        const [ox, oy] = [x(from[0]), y(from[1])];
        context.save();
        context.transform((x(right[0]) - ox) / piece, (y(right[1]) - oy) / piece, (x(down[0]) - ox) / piece, (y(down[1]) - oy) / piece, ox, oy);
        // A hair wider than it is, so that no seam shows.
        context.drawImage(picture, i * piece, j * piece, piece, piece, 0, 0, piece * 1.004, piece * 1.004);
        context.restore();
      }
    }
  }
}
