/** Find all like this: point at something, see how like it every pixel is, and make a class or files of what is like it enough. */

import { api, ApiError } from "../core/api";
import type { Geometry, MarkKind, Scene } from "../core/types";
import { formatNumber, formatPercent, t } from "../i18n";
import { AnswerLayer, type Palette } from "../map/answerlayer";
import type { MapView } from "../map/mapview";
import { type Session, sidesOf } from "../session/session";
import { askText, h, replace } from "../ui/dom";
import { exportFound, find, type Found, soFar, take } from "./api";
import { byteOf, countFrom, LEAST, MOST, similarityOf, thresholdOf } from "./threshold";

const NEW_CLASS = "new";
/** Between two questions how far a search is. */
const AGAIN_MS = 400;
/** Above the layers of the map and below the marks, of either side of the swipe. */
const [LEFT, RIGHT] = [12.5, 22.5];

export interface Similar {
  readonly section: HTMLElement;
  /** Takes what was drawn where it says what to find; false where it is a mark. */
  takes(kind: MarkKind, geometry: Geometry, scene: Scene | null): boolean;
}

export function buildSimilar(session: Session, view: MapView): Similar {
  const { store } = session;
  let isAsking = false;
  let search: { found: Found; threshold: number } | null = null;
  let timer: number | undefined;
  let ramp: Promise<readonly string[]> | null = null;

  /** What is like it enough in full colour, the rest faint. */
  const palette = async (): Promise<Palette> => {
    const colors = await (ramp ??= api.confidenceRamp());
    const made = new Uint32Array(256);
    const bytes = new Uint8ClampedArray(made.buffer);
    for (let at = 1; at < 256; at++) {
      const value = parseInt(colors[at]!.slice(1), 16);
      bytes.set([value >> 16, (value >> 8) & 255, value & 255, at >= (search?.threshold ?? 0) ? 235 : 55], at * 4);
    }
    return made;
  };
  const tileSize = (): number => store.get().project?.limits.tile_size ?? 256;
  const layers = [LEFT, RIGHT].map((z) => new AnswerLayer("similarity", z, tileSize, palette, (error) => session.report(error)));
  for (const layer of layers) view.olMap.addLayer(layer);
  layers[0]!.onSettled((number) => (view.target.dataset["similar"] = String(number)));

  const ask = h("button", { type: "button", class: "button", id: "similar-ask", "aria-pressed": "false", onclick: () => wait(!isAsking) }, t("Find all like this"));
  const hint = h("p", { class: "quiet", role: "status" });
  const slider = h("input", {
    type: "range", min: LEAST, max: MOST, step: 1, id: "similar-threshold",
    oninput: () => {
      if (!search) return;
      search.threshold = Number(slider.value);
      show();
      for (const layer of layers) void layer.recolour();
    },
  });
  const value = h("output", { for: "similar-threshold" });
  const area = h("p", { id: "similar-area", role: "status" });
  const into = h("select", { id: "similar-into", "aria-label": t("Take as class") });
  const act = (run: () => Promise<unknown>): void => void run().catch((error: unknown) => session.report(error));
  const takeIt = h("button", { type: "button", class: "button small primary", id: "similar-take", onclick: () => takeAsClass() }, t("Take as class"));
  const write = h("button", { type: "button", class: "button small", id: "similar-export", onclick: () => act(writeFiles) }, t("Export"));
  const close = h("button", { type: "button", class: "button small", id: "similar-close", onclick: () => end() }, t("End the search"));
  const found = h("div", { id: "similar-found" }, h("label", { class: "row" }, t("Similarity from"), slider, value), area, h("div", { class: "mark-tools" }, into, takeIt), h("div", { class: "mark-tools" }, write, close));
  const section = h("section", { "aria-labelledby": "similar-title" }, h("h2", { id: "similar-title" }, t("Find all like this")), ask, hint, found);

  const wait = (on: boolean): void => {
    isAsking = on;
    if (on && ["pan", "edit", "erase"].includes(store.get().tool)) store.set({ tool: "point" });
    show();
  };
  const end = (): void => {
    search = null;
    clearTimeout(timer);
    delete view.target.dataset["similar"];
    showLayers();
    wait(false);
  };

  const begin = async (kind: MarkKind, geometry: Geometry, scene: Scene): Promise<void> => {
    hint.textContent = t("Searching…");
    const answer = await find(scene.id, kind, geometry, store.get().brush);
    search = { found: answer, threshold: byteOf(answer.cut) };
    slider.value = String(search.threshold);
    showLayers();
    show();
    follow();
  };
  /** Ask how far it is until all of the image is searched. */
  const follow = (): void => {
    clearTimeout(timer);
    const { scene } = store.get();
    if (!search || !scene) return;
    const { number } = search.found;
    soFar(scene.id, number).then(
      (answer) => {
        if (search?.found.number !== number || store.get().scene?.id !== scene.id) return;
        search.found = answer;
        for (const layer of layers) layer.more();
        show();
        if (answer.done < answer.total) timer = window.setTimeout(follow, AGAIN_MS);
      },
      (error: unknown) => {
        // Another tab searches for something else.
        if (error instanceof ApiError && error.status === 409) end();
        else if (error instanceof ApiError && error.isOffline) timer = window.setTimeout(follow, AGAIN_MS);
        else session.report(error);
      },
    );
  };

  const takeAsClass = (): void => {
    const { project, scene } = store.get();
    if (!search || !project || !scene) return;
    const { number } = search.found;
    const threshold = thresholdOf(search.threshold);
    const give = (class_id: number, name?: string): void =>
      act(async () => {
        await take(scene.id, number, { key: crypto.randomUUID(), threshold, class_id, ...(name === undefined ? {} : { name }) });
        store.set({ classId: class_id });
        end();
      });
    if (into.value === NEW_CLASS) askText(t("New class"), t("Name"), (name) => give(Math.max(0, ...project.classes.map(({ id }) => id)) + 1, name));
    else give(Number(into.value));
  };
  const writeFiles = async (): Promise<void> => {
    const { scene } = store.get();
    if (!search || !scene) return;
    // Of its own name: nothing that was written before is replaced.
    const [day, time] = new Date().toISOString().split(/[T.]/);
    await exportFound(scene.id, search.found.number, { threshold: thresholdOf(search.threshold), name: `found-${day}-${time!.replaceAll(":", "")}`, replace: false });
  };

  const show = (): void => {
    const { project, scene } = store.get();
    ask.setAttribute("aria-pressed", String(isAsking));
    hint.textContent = isAsking ? t("Click a pixel of it, or draw over it with any tool. Nothing is marked.") : "";
    found.hidden = search === null;
    if (!search || !scene) return;
    value.textContent = formatPercent(similarityOf(search.threshold), 0);
    const { found: pixels, of } = countFrom(search.found.counts, search.threshold);
    const metres = scene.metres_per_pixel;
    const hectares = metres && (pixels * metres[0] * metres[1]) / 1e4;
    const size = hectares === null ? t("{n} px", { n: pixels }) : `${formatNumber(hectares, { maximumFractionDigits: hectares < 10 ? 2 : hectares < 100 ? 1 : 0 })} ha`;
    const share = `${size} · ${formatPercent(of ? pixels / of : 0, 1)}`;
    const { done, total } = search.found;
    area.textContent = done < total ? `${share} · ${t("Areas of the {share} of the image mapped so far.", { share: formatPercent(done / total) })}` : share;
    takeIt.disabled = done < total || pixels === 0;
    const kept = into.value;
    replace(into, h("option", { value: NEW_CLASS }, t("New class…")), ...(project?.classes ?? []).map((one) => h("option", { value: String(one.id) }, one.name)));
    into.value = [...into.options].some((one) => one.value === kept) ? kept : NEW_CLASS;
  };
  const showLayers = (): void => {
    const state = store.get();
    const sides = sidesOf(state);
    layers.forEach((layer, at) => {
      const scene = sides[at] ?? null;
      layer.setClip(at === 0 ? 0 : state.swipe, at === 0 && state.compare ? state.swipe : 1);
      layer.setVisible(search !== null && scene !== null && !state.peek);
      layer.show(search && scene ? { scene, revision: search.found.number } : null);
    });
  };

  store.watch(["scene", "compare", "swipe", "peek"], showLayers);
  store.watch(["scene"], follow);
  store.watch(["project", "scene"], show);
  return {
    section,
    takes: (kind, geometry, scene) => {
      if (!isAsking || store.get().tool === "erase") return false;
      isAsking = false;
      show();
      if (scene) void begin(kind, geometry, scene).catch((error: unknown) => (end(), session.report(error)));
      return true;
    },
  };
}
