import "./style.css";

import { api } from "./core/api";
import { boundsOf, centreOf, type Point } from "./core/geometry";
import { pictureQuery } from "./core/picture";
import type { SuspectMark, Geometry, Mark, MarkKind, Scene } from "./core/types";
import { loadTexts, translatePage } from "./i18n";
import { dragsWith, DrawInteraction } from "./map/draw";
import { type Palette, paletteOf } from "./map/answerlayer";
import { MapView } from "./map/mapview";
import { ReshapeInteraction } from "./map/reshape";
import { Session, sidesOf } from "./session/session";
import { editClass } from "./ui/classes";
import { exportDialog } from "./files/exportmaps";
import { importLabels } from "./files/importlabels";
import { openJobs } from "./files/jobs";
import { openHelp } from "./start/help";
import { buildPeople } from "./people/people";
import { buildNotices } from "./ui/notices";
import { byId } from "./ui/dom";
import { buildSimilar } from "./similar/panel";
import { buildHeader } from "./ui/header";
import { bindKeys } from "./ui/keys";
import { buildOverlay } from "./ui/overlay";
import { buildPanel } from "./ui/panel";
import { buildTour } from "./start/tour";
import { buildStatus } from "./ui/status";
import { buildAreaBars } from "./ui/areabars";
import { buildStrip } from "./ui/strip";
import { buildTools } from "./ui/tools";
import { openValidation } from "./validate/open";

await loadTexts();
translatePage();
const session = new Session();
const { store } = session;

/** Screen pixels within which the keyboard's cursor and a double click hit a corner. */
const KEY_REACH = 8;

let ramp: Promise<Palette> | null = null;
const view = new MapView(
  byId("map"),
  () => store.get().project?.limits.tile_size ?? 256,
  {
    classes: async () => paletteOf((store.get().project?.classes ?? []).map((one) => [one.id, one.color] as const)),
    confidence: () => (ramp ??= api.confidenceRamp().then((colors) => paletteOf(colors.entries()))),
  },
  (error) => session.report(error),
  (event) => {
    const { originalEvent } = event;
    const isPrimary = originalEvent instanceof PointerEvent && originalEvent.button === 0 && (event.activePointers?.length ?? 1) < 2;
    return isPrimary && dragsWith(store.get().tool);
  },
);

const colorOf = (classId: number): string | null => store.get().project?.classes.find((one) => one.id === classId)?.color ?? null;

/** The date that lies under a point: a mark belongs to the picture it was drawn on. */
const sceneAt = ([x, y]: Point): Scene | null => {
  const [left, right] = sidesOf(store.get());
  const pixel = view.olMap.getPixelFromCoordinate([x, -y]) as number[] | null;
  return right && pixel && pixel[0]! > store.get().swipe * view.target.clientWidth ? right : left;
};

const hover = (point: Point | null): void => {
  status.hover(point, point && sceneAt(point));
  const { tool, brush } = store.get();
  view.sketch.setBrush(point && (tool === "scribble" || tool === "erase") ? { at: point, diameter: brush } : null);
};

/** Where the mouse rests on the screen: what lies under it changes when the view moves. */
let restsAt: number[] | null = null;
const pointed = (point: Point | null): void => {
  restsAt = point && view.olMap.getPixelFromCoordinate([point[0], -point[1]]);
  hover(point);
};
view.olMap.on("moveend", () => {
  if (!restsAt) return;
  const [x, y] = view.olMap.getCoordinateFromPixel(restsAt);
  hover([x!, -y!]);
});

const draw = new DrawInteraction({
  tool: () => store.get().tool,
  sketching: (kind: MarkKind, points: readonly Point[] | null) => {
    const { tool, classId, brush } = store.get();
    const class_id = tool === "erase" ? 0 : classId;
    view.sketch.setSketch(points && { kind, points: [...points], class_id, brush_px: brush }, tool === "erase" ? null : colorOf(classId));
  },
  finished: (kind: MarkKind, geometry: Geometry) => similar.takes(kind, geometry, sceneAt(centreOf(geometry))) || session.addMark(kind, geometry, sceneAt(centreOf(geometry))),
  hover: pointed,
});
view.olMap.addInteraction(draw);

const reshape = new ReshapeInteraction({
  isOn: () => store.get().tool === "edit",
  marksAt: (point) => {
    const on = sceneAt(point);
    return on && store.get().marksVisible ? session.marksOf(on) : [];
  },
  holding: (mark) => {
    for (const { marks } of [view.left, view.right]) marks.hide(mark?.id ?? null);
    view.sketch.setHeld(mark, mark && colorOf(mark.class_id));
    byId("map").dataset["held"] = mark?.id ?? "";
  },
  finished: (mark, geometry) => session.reshapeMark(mark, geometry),
  hover: pointed,
});
view.olMap.addInteraction(reshape);

const suggest = async (): Promise<void> => {
  const found = await session.nextSuggestion();
  if (found) view.goTo([found.col + 0.5, found.row + 0.5]);
};

const goToPixel = async ({ scene, row, col }: { scene: string; row: number; col: number }): Promise<void> => {
  if (scene !== store.get().scene?.id) await session.openScene(scene);
  view.goTo([col + 0.5, row + 0.5]);
};
const goToMark = async (mark: Mark): Promise<void> => {
  if (mark.scene !== store.get().scene?.id) await session.openScene(mark.scene);
  const [left, top, right, bottom] = boundsOf(mark.geometry);
  view.goTo(centreOf(mark.geometry), Math.max(right - left, bottom - top));
};
const goToDoubt = (mark: SuspectMark): void => void goToPixel(mark);

let overlapAt = 0;
/** The next pixel marked with two classes, then the next mark that looks like another class. */
const goToOverlap = (): void => {
  const { overlaps, suspectLabels, scene } = store.get();
  const places = [...overlaps.map((one) => ({ ...one, scene: scene!.id })), ...suspectLabels.marks];
  const place = places[overlapAt++ % Math.max(1, places.length)];
  if (place) void goToPixel(place);
};

const toggleSwipe = (): void => {
  const { compare, scene } = store.get();
  const dates = session.series;
  const at = dates.findIndex((one) => one.id === scene?.id);
  store.set({ compare: compare ? null : (dates[at + 1] ?? dates[at - 1] ?? null) });
};

const help = (): void => openHelp(session, () => tour.start());

const togglePanel = (): void => {
  const isHidden = document.body.classList.toggle("panel-hidden");
  byId("panel-toggle").setAttribute("aria-expanded", String(!isHidden));
};

buildHeader(session, { importLabels: () => importLabels(session), exportDialog: () => exportDialog(session), jobs: () => openJobs(session), validate: () => openValidation(session), help, togglePanel });
buildTools(session, { suggest: () => void suggest() });
buildPanel(session, view, { goToOverlap, goToDoubt, goToMark: (mark) => void goToMark(mark), chooseMarks: (marks) => view.sketch.setChosen(marks), toggleSwipe });
const similar = buildSimilar(session, view);
byId("panel").insertBefore(similar.section, byId("panel").children[1] ?? null);
buildOverlay(session, view);
buildStrip(session);
buildAreaBars(session);
buildPeople(session, (place) => void goToPixel(place));
buildNotices(session);
const tour = buildTour(session);
const status = buildStatus(session, view, sceneAt);
bindKeys(
  session,
  view,
  draw,
  reshape,
  {
    n: () => void suggest(),
    k: goToOverlap,
    m: () => store.set({ mapVisible: !store.get().mapVisible }),
    c: () => store.set({ confidenceVisible: !store.get().confidenceVisible }),
    l: () => store.set({ marksVisible: !store.get().marksVisible }),
    w: toggleSwipe,
    f: () => view.fit(),
    a: () => {
      if (document.body.classList.contains("panel-hidden")) togglePanel();
      byId("new-class").focus();
    },
    i: () => importLabels(session),
    x: () => exportDialog(session),
    j: () => openJobs(session),
    t: () => openValidation(session),
    "?": help,
    f2: () => editClass(session, store.get().classId),
  },
  (cell) => {
    restsAt = null;
    hover(cell);
  },
);

// State to map

store.watch(["scene", "picture", "compare"], (state) => {
  const { scene, picture } = state;
  if (!scene) return;
  const [left, right] = sidesOf(state);
  delete view.target.dataset["pictured"];
  const projection = view.setScene(scene);
  const query = pictureQuery(picture);
  view.left.image.show(left!, query, projection);
  if (right) view.right.image.show(right, query, projection);
  // Where nothing changed no frame would follow, and nobody would learn that the image is there.
  view.olMap.render();
});

store.watch(["scene", "compare", "project", "confidenceVisible", "mapVisible"], (state) => {
  const { project, confidenceVisible, mapVisible } = state;
  const [left, right] = sidesOf(state);
  const revision = project?.revision ?? 0;
  const isReady = project?.map.ready ?? false;
  for (const [overlay, one] of [[view.left, left], [view.right, right]] as const) {
    overlay.map.show(one && isReady && mapVisible ? { scene: one, revision } : null, session.focus ?? undefined);
    overlay.confidence.show(one && isReady && confidenceVisible ? { scene: one, revision } : null, session.focus ?? undefined);
  }
});

store.watch(["compare", "swipe", "peek", "mapVisible", "confidenceVisible", "marksVisible", "mapOpacity"], (state) => {
  const { compare, swipe, peek } = state;
  view.left.image.setClip(0, compare ? swipe : 1);
  view.right.image.setVisible(compare !== null);
  view.right.image.setClip(swipe, 1);
  for (const [overlay, from, to, isOn] of [[view.left, 0, compare ? swipe : 1, true], [view.right, swipe, 1, compare !== null]] as const) {
    overlay.map.setClip(from, to);
    overlay.confidence.setClip(from, to);
    // One answer at a time: confidence over class colours would be read as neither.
    overlay.map.setVisible(isOn && state.mapVisible && !state.confidenceVisible && !peek);
    overlay.confidence.setVisible(isOn && state.confidenceVisible && !peek);
    overlay.marks.setClip(from, to);
    overlay.marks.setVisible(isOn && state.marksVisible && !peek);
    overlay.map.setOpacity(state.mapOpacity);
    overlay.confidence.setOpacity(state.mapOpacity);
  }
});

store.watch(["marks", "compareMarks", "project", "scene", "compare"], (state) => {
  const { marks, compareMarks, project, scene } = state;
  const colors = new Map((project?.classes ?? []).map((one) => [one.id, one.color]));
  const isLeft = sidesOf(state)[0]?.id === scene?.id;
  view.left.marks.setMarks(isLeft ? marks : compareMarks, colors);
  view.right.marks.setMarks(isLeft ? compareMarks : marks, colors);
});
// What is in hand is the server's mark, and lies where it says.
store.watch(["marks", "compareMarks"], ({ marks, compareMarks }) => {
  const { held } = reshape;
  if (held) reshape.refresh([...marks, ...compareMarks].find((one) => one.id === held.id) ?? null);
});
store.watch(["scene", "compare"], () => status.refresh());
store.watch(["compare"], ({ compare }) => {
  if (compare) void session.loadMarksOf(compare.id);
});
store.watch(["overlaps"], ({ overlaps }) => view.sketch.setOverlaps(overlaps));
store.watch(["suspectLabels", "scene"], ({ suspectLabels, scene }) => view.sketch.setDoubts(suspectLabels.marks.filter((one) => one.scene === scene?.id)));
store.watch(["suggestion"], ({ suggestion }) => view.sketch.setSuggestion(suggestion && [suggestion.col + 0.5, suggestion.row + 0.5]));
store.watch(["tool"], ({ tool }) => {
  draw.cancel();
  reshape.take(null);
  view.doubleClickZoom.setActive(tool === "pan");
  byId("map").dataset["tool"] = tool;
  view.sketch.setBrush(null);
  if (tool === "erase") store.set({ suggestion: null });
});
store.watch(["waiting"], ({ waiting }) => {
  for (const overlay of [view.left, view.right]) for (const layer of [overlay.map, overlay.confidence]) layer.hold(waiting > 0);
});

session.onMore = () => {
  for (const overlay of [view.left, view.right]) {
    overlay.map.more();
    overlay.confidence.more();
  }
};
let wasOnline = true;
store.watch(["online"], ({ online }) => {
  if (online && !wasOnline) for (const overlay of [view.left, view.right]) overlay.image.reload();
  wasOnline = online;
});

// For tests and for benchmarks, which read it off the page: when the image is there, and when the whole view shows the newest revision.
view.olMap.on("rendercomplete", () => {
  if (!store.get().scene || view.target.dataset["pictured"]) return;
  view.target.dataset["pictured"] = "true";
  performance.mark("pixelkin:pictured");
});
view.olMap.on("movestart", () => delete view.target.dataset["pictured"]);
view.left.confidence.onSettled((revision) => (view.target.dataset["confident"] = String(revision)));
view.left.map.onSettled((revision) => {
  if (byId("map").dataset["settled"] === String(revision)) return;
  byId("map").dataset["settled"] = String(revision);
  performance.mark("pixelkin:settled", { detail: revision });
  status.refresh();
  // What was counted while blocks were missing lacks them.
  session.loadAreasSoon();
});

// The map's own listeners

byId("map").addEventListener("contextmenu", (event) => event.preventDefault());
byId("map").addEventListener("dblclick", (event) => {
  draw.finishPolygon();
  const [x, y] = view.olMap.getEventCoordinate(event);
  if (store.get().tool === "edit") reshape.removeCorner([x!, -y!], KEY_REACH * view.resolution);
});
byId("map").addEventListener("pointerleave", () => pointed(null));
window.addEventListener("dragover", (event) => event.preventDefault());
window.addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer?.files[0];
  if (file && !document.querySelector("dialog[open]")) importLabels(session, file);
});
window.addEventListener("beforeunload", (event) => {
  if (store.get().waiting > 0) event.preventDefault();
});

session.start().catch((error: unknown) => session.report(error));
