/** Marks as the user drew them, at once, before the server has answered. */

import type { Point } from "../core/geometry";
import { boundsOf, boxRing, centreOf } from "../core/geometry";
import { gripsOf } from "../core/reshape";
import type { Overlap, SuspectMark, Geometry, Mark, MarkKind } from "../core/types";
import { CanvasLayer, type Screen } from "./canvaslayer";

export interface Sketch {
  readonly kind: MarkKind;
  readonly points: readonly Point[];
  readonly class_id: number;
  readonly brush_px: number;
}

/** Smallest diameter at which a mark is drawn, CSS pixels: a marked pixel is seen from far away too. */
const SMALLEST = 7;
/** The same of a single point, which has nothing but its size to be seen by. */
const SMALLEST_DOT = 11;

export class MarkLayer extends CanvasLayer {
  private marks: readonly Mark[] = [];
  private colors: ReadonlyMap<number, string> = new Map();
  private hidden: string | null = null;

  constructor(zIndex: number) {
    super("layer-marks", zIndex);
  }

  setMarks(marks: readonly Mark[], colors: ReadonlyMap<number, string>): void {
    this.marks = marks;
    this.colors = colors;
    this.refresh();
  }

  /** Leave a mark out that is in hand, and drawn there. */
  hide(id: string | null): void {
    if (id === this.hidden) return;
    this.hidden = id;
    this.refresh();
  }

  protected override draw(screen: Screen): void {
    const [left, top, right, bottom] = screen.view;
    for (const mark of this.marks) {
      if (mark.id === this.hidden) continue;
      const reach = mark.brush_px + 2 * SMALLEST_DOT * screen.resolution;
      const [x0, y0, x1, y1] = boundsOf(mark.geometry);
      if (x1 < left - reach || x0 > right + reach || y1 < top - reach || y0 > bottom + reach) continue;
      drawMark(screen, mark, mark.class_id === 0 ? null : (this.colors.get(mark.class_id) ?? "#888"));
    }
  }
}

/** What is being drawn now, the cursor's footprint, overlaps and the suggested pixel. */
export class SketchLayer extends CanvasLayer {
  private sketch: Sketch | null = null;
  private color: string | null = null;
  private brush: { at: Point; diameter: number } | null = null;
  private cell: Point | null = null;
  private overlaps: readonly Overlap[] = [];
  private doubts: readonly SuspectMark[] = [];
  private suggestion: Point | null = null;
  private chosen: readonly Mark[] = [];
  private held: Mark | null = null;

  constructor() {
    super("layer-sketch", 50);
  }

  setSketch(sketch: Sketch | null, color: string | null): void {
    if (!sketch && !this.sketch) return;
    this.sketch = sketch;
    this.color = color;
    this.refresh();
  }

  /** Outline of the brush under the pointer; null hides it. */
  setBrush(brush: { at: Point; diameter: number } | null): void {
    if (!brush && !this.brush) return;
    this.brush = brush;
    this.refresh();
  }

  /** The pixel that the keyboard works on; null hides it. */
  setCell(cell: Point | null): void {
    if (!cell && !this.cell) return;
    this.cell = cell;
    this.refresh();
  }

  setOverlaps(overlaps: readonly Overlap[]): void {
    this.overlaps = overlaps;
    this.refresh();
  }

  /** Labels that look like another class, of the image on show. */
  setDoubts(doubts: readonly SuspectMark[]): void {
    if (doubts.length === 0 && this.doubts.length === 0) return;
    this.doubts = doubts;
    this.refresh();
  }

  /** Marks chosen in the list: a frame stands around each. */
  setChosen(marks: readonly Mark[]): void {
    if (marks.length === 0 && this.chosen.length === 0) return;
    this.chosen = marks;
    this.refresh();
  }

  /** The mark in hand, with what it can be taken by. */
  setHeld(mark: Mark | null, color: string | null): void {
    if (!mark && !this.held) return;
    this.held = mark;
    this.color = color;
    this.refresh();
  }

  setSuggestion(point: Point | null): void {
    this.suggestion = point;
    this.refresh();
  }

  protected override draw(screen: Screen): void {
    const { context, ratio, scale } = screen;
    for (const { row, col } of this.overlaps) drawOverlap(screen, col, row);
    for (const { row, col } of this.doubts) drawDoubt(screen, col, row);
    for (const { geometry } of this.chosen) {
      const [left, top, right, bottom] = boundsOf(geometry);
      const margin = 10 * ratio;
      context.beginPath();
      context.rect(screen.x(left) - margin, screen.y(top) - margin, (right - left) * scale + 2 * margin, (bottom - top) * scale + 2 * margin);
      outline(screen, "#ffd23f");
    }
    if (this.held) this.drawHeld(screen, this.held);
    if (this.sketch) this.drawSketch(screen, this.sketch);
    if (this.brush && this.brush.diameter * scale > 6 * ratio) {
      context.beginPath();
      context.arc(screen.x(this.brush.at[0]), screen.y(this.brush.at[1]), (this.brush.diameter * scale) / 2, 0, 2 * Math.PI);
      outline(screen, this.color ?? "#fff");
    }
    if (this.cell) {
      const size = Math.max(scale, 9 * ratio);
      const [x, y] = [screen.x(this.cell[0]), screen.y(this.cell[1])];
      context.beginPath();
      context.rect(x - size / 2, y - size / 2, size, size);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
        context.moveTo(x + dx * (size / 2 + 3 * ratio), y + dy * (size / 2 + 3 * ratio));
        context.lineTo(x + dx * (size / 2 + 11 * ratio), y + dy * (size / 2 + 11 * ratio));
      }
      outline(screen, "#fff");
    }
    if (this.suggestion) {
      const [x, y] = [screen.x(this.suggestion[0]), screen.y(this.suggestion[1])];
      for (const radius of [9, 17]) {
        context.beginPath();
        context.arc(x, y, Math.max(radius * ratio, (scale / 2) * 1.5 + radius * ratio * 0.5), 0, 2 * Math.PI);
        outline(screen, "#ffd23f");
      }
    }
  }

  private drawHeld(screen: Screen, mark: Mark): void {
    const { context, ratio } = screen;
    drawMark(screen, mark, mark.class_id === 0 ? "rgba(255,255,255,0.75)" : (this.color ?? "#888"));
    const grips = gripsOf(mark);
    for (const { grip, at } of grips.length > 0 ? grips : [{ grip: { kind: "corner" }, at: centreOf(mark.geometry) }]) {
      const radius = (grip.kind === "side" ? 3.5 : 6) * ratio;
      context.beginPath();
      context.arc(screen.x(at[0]), screen.y(at[1]), radius, 0, 2 * Math.PI);
      if (grip.kind !== "side") {
        context.fillStyle = "#fff";
        context.fill();
      }
      outline(screen, grip.kind === "side" ? "#fff" : "#1e6fd9");
    }
  }

  private drawSketch(screen: Screen, sketch: Sketch): void {
    const { context } = screen;
    const first = sketch.points[0];
    const last = sketch.points[sketch.points.length - 1];
    if (!first || !last) return;
    if (sketch.kind === "scribble" || sketch.kind === "point") {
      const geometry: Geometry =
        sketch.points.length > 1
          ? { type: "LineString", coordinates: sketch.points as [number, number][] }
          : { type: "Point", coordinates: [first[0], first[1]] };
      const color = sketch.class_id === 0 ? "rgba(255,255,255,0.75)" : (this.color ?? "#888");
      drawMark(screen, { kind: sketch.kind, geometry, brush_px: sketch.brush_px }, color);
      return;
    }
    context.beginPath();
    path(screen, sketch.kind === "box" ? boxRing(first, last) : sketch.points);
    context.globalAlpha = 0.3;
    context.fillStyle = this.color ?? "#fff";
    context.fill();
    context.globalAlpha = 1;
    outline(screen, this.color ?? "#fff");
    if (sketch.kind === "polygon") {
      for (const point of sketch.points) {
        context.beginPath();
        context.arc(screen.x(point[0]), screen.y(point[1]), 4 * screen.ratio, 0, 2 * Math.PI);
        outline(screen, this.color ?? "#fff");
      }
    }
  }
}

function path(screen: Screen, points: readonly Point[]): void {
  points.forEach(([x, y], i) => (i === 0 ? screen.context.moveTo(screen.x(x), screen.y(y)) : screen.context.lineTo(screen.x(x), screen.y(y))));
}

/** A line that is seen on any picture: the colour between two dark edges. */
function outline({ context, ratio }: Screen, color: string): void {
  context.lineWidth = 3.5 * ratio;
  context.strokeStyle = "rgba(0,0,0,0.65)";
  context.stroke();
  context.lineWidth = 1.5 * ratio;
  context.strokeStyle = color;
  context.stroke();
}

/** Draw a mark; a colour of null rubs out what was drawn before it, as the eraser does to labels. */
function drawMark(screen: Screen, mark: Pick<Mark, "kind" | "geometry" | "brush_px">, color: string | null): void {
  const { context, ratio, scale } = screen;
  const { geometry } = mark;
  context.save();
  if (color === null) context.globalCompositeOperation = "destination-out";
  const fill = color ?? "#000";
  const diameter = Math.max(mark.brush_px * scale, color === null ? 0 : SMALLEST * ratio);
  context.lineJoin = context.lineCap = "round";
  context.fillStyle = context.strokeStyle = fill;
  const edge = color === null ? 0 : ratio;

  const dot = ([x, y]: Point): void => {
    context.beginPath();
    if (mark.brush_px <= 1 && scale >= SMALLEST * ratio) {
      context.rect(screen.x(Math.floor(x)), screen.y(Math.floor(y)), scale, scale);
    } else {
      context.arc(screen.x(x), screen.y(y), (edge ? Math.max(diameter, SMALLEST_DOT * ratio) : diameter) / 2, 0, 2 * Math.PI);
    }
    if (edge) {
      // White between two dark lines: seen on a bright picture, on a dark one and on the class's own colour.
      for (const [width, style] of [[5, "#111"], [3, "#fff"], [0.75, "#111"]] as const) {
        context.lineWidth = width * ratio;
        context.strokeStyle = style;
        context.stroke();
      }
    }
    context.fill();
  };
  const line = (points: readonly Point[]): void => {
    context.beginPath();
    path(screen, points);
    if (edge) {
      context.strokeStyle = "rgba(255,255,255,0.9)";
      context.lineWidth = diameter + 2 * edge;
      context.stroke();
      // A wide stroke lets the picture through; its edge must not.
      context.globalCompositeOperation = "destination-out";
      context.strokeStyle = "#000";
      context.lineWidth = diameter;
      context.stroke();
      context.globalCompositeOperation = "source-over";
      context.globalAlpha = diameter > 14 * ratio ? 0.55 : 1;
    }
    context.strokeStyle = fill;
    context.lineWidth = diameter;
    context.stroke();
    context.globalAlpha = 1;
  };
  const area = (rings: readonly (readonly Point[])[]): void => {
    context.beginPath();
    for (const ring of rings) {
      path(screen, ring);
      context.closePath();
    }
    context.globalAlpha = color === null ? 1 : 0.4;
    context.fill("evenodd");
    context.globalAlpha = 1;
    if (color !== null) outline(screen, color);
  };

  switch (geometry.type) {
    case "Point":
      dot(geometry.coordinates);
      break;
    case "MultiPoint":
      geometry.coordinates.forEach(dot);
      break;
    case "LineString":
      line(geometry.coordinates);
      break;
    case "MultiLineString":
      geometry.coordinates.forEach(line);
      break;
    case "Polygon":
      area(geometry.coordinates);
      break;
    case "MultiPolygon":
      geometry.coordinates.forEach(area);
      break;
  }
  context.restore();
}

/** A diamond on the pixel's upper edge, which leaves the pixel to be seen; overlaps are triangles. */
function drawDoubt(screen: Screen, col: number, row: number): void {
  const { context, x, y, scale, ratio } = screen;
  if (scale > 4 * ratio) {
    context.beginPath();
    context.rect(x(col), y(row), scale, scale);
    outline(screen, "#fff");
  }
  const radius = 9 * ratio;
  const [cx, cy] = [x(col + 0.5), y(row) - radius];
  context.beginPath();
  context.moveTo(cx, cy - radius);
  context.lineTo(cx + radius, cy);
  context.lineTo(cx, cy + radius);
  context.lineTo(cx - radius, cy);
  context.closePath();
  context.fillStyle = "#fff";
  context.fill();
  context.lineJoin = "miter";
  context.lineWidth = 2 * ratio;
  context.strokeStyle = "#111";
  context.stroke();
  context.fillStyle = "#111";
  context.fillRect(cx - radius * 0.1, cy - radius * 0.5, radius * 0.2, radius * 0.6);
  context.fillRect(cx - radius * 0.1, cy + radius * 0.3, radius * 0.2, radius * 0.2);
}

function drawOverlap({ context, x, y, scale, ratio }: Screen, col: number, row: number): void {
  const radius = Math.max(7 * ratio, scale * 0.7);
  const [cx, cy] = [x(col + 0.5), y(row + 0.5)];
  context.beginPath();
  context.moveTo(cx, cy - radius);
  context.lineTo(cx + radius, cy + radius * 0.8);
  context.lineTo(cx - radius, cy + radius * 0.8);
  context.closePath();
  context.fillStyle = "#ffd23f";
  context.fill();
  context.lineWidth = 1.5 * ratio;
  context.strokeStyle = "#111";
  context.stroke();
  context.fillStyle = "#111";
  context.fillRect(cx - ratio * 0.75, cy - radius * 0.35, 1.5 * ratio, radius * 0.6);
  context.fillRect(cx - ratio * 0.75, cy + radius * 0.4, 1.5 * ratio, 1.5 * ratio);
}
