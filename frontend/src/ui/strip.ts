/** Time strip: a thumbnail a date; arrow keys step. */

import { sceneLabel } from "./scenes";
import { formatNumber, formatPercent, t } from "../i18n";
import { api } from "../core/api";
import type { Scene } from "../core/types";
import { Player } from "../looking/player";
import type { Session } from "../session/session";
import { byId, h, icon, iconButton, replace } from "./dom";

export function buildStrip(session: Session): void {
  const { store } = session;
  const strip = byId("strip");
  const list = h("div", { class: "dates", role: "listbox", "aria-label": t("Date on show"), "aria-orientation": "horizontal" });
  const play = iconButton("play", t("Play the dates"), () => (player.isOn ? player.stop() : player.start()), { id: "play" });
  const clear = h("select", { id: "clear-dates", "aria-label": t("Dates on show"), title: t("Dates on show"), onchange: () => void session.leaveOut(Number(clear.value)) });
  for (const share of [1, 0.5, 0.2, 0.05]) clear.append(h("option", { value: String(share) }, share === 1 ? t("all dates") : t("≤ {share} no data", { share: formatPercent(share) })));
  strip.append(play, clear, list);
  const player = new Player(session, (isOn) => {
    play.setAttribute("aria-pressed", String(isOn));
    replace(play, icon(isOn ? "pause" : "play"));
  });
  // Whoever takes a date into the hand has seen enough.
  list.addEventListener("pointerdown", () => player.stop());
  list.addEventListener("keydown", () => player.stop());
  let items: { scene: Scene; item: HTMLButtonElement; image: HTMLImageElement; count: HTMLElement; warning: HTMLElement }[] = [];
  let names = "";

  list.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -items.length, End: items.length }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const shown = items.filter(({ item }) => !item.hidden);
    const at = shown.findIndex((one) => one.scene.id === store.get().scene?.id);
    const next = shown[Math.max(0, Math.min(shown.length - 1, at + step))];
    if (next) void session.openScene(next.scene.id).then(() => next.item.focus());
  });

  store.watch(["project", "scene", "picture", "compare", "uncovered", "leftOut"], ({ project, scene, picture, compare, uncovered, leftOut }) => {
    const scenes = project?.scenes ?? [];
    strip.hidden = scenes.length < 2;
    play.hidden = clear.hidden = session.series.length < 3;
    const now = scenes.map((one) => `${one.id}:${one.fingerprint}`).join("|");
    if (now !== names) {
      names = now;
      items = scenes.map((one) => {
        const image = h("img", { alt: "", loading: "lazy", width: 72, height: 54 });
        const count = h("span", { class: "count", title: t("labelled pixels") });
        const warning = h("span", { class: "uncovered", role: "img" }, icon("warning"));
        const item = h(
          "button",
          { type: "button", role: "option", class: "date", onclick: () => void session.openScene(one.id), "data-scene": one.id },
          image,
          h("span", { title: one.date ?? one.name }, sceneLabel(one)),
          count,
          warning,
        );
        return { scene: one, item, image, count, warning };
      });
      list.replaceChildren(...items.map(({ item }) => item));
    }
    for (const { scene: one, item, image, count, warning } of items) {
      const isOpen = one.id === scene?.id;
      const wasOpen = item.getAttribute("aria-selected") === "true";
      item.setAttribute("aria-selected", String(isOpen));
      item.tabIndex = isOpen ? 0 : -1;
      item.hidden = leftOut.has(one.id) && !isOpen;
      item.dataset["compare"] = String(one.id === compare?.id);
      const bands = scene && one.series === scene.series ? picture.bands : one.default_bands;
      const address = api.thumbnailUrl(one, bands, 96);
      if (image.getAttribute("src") !== address) image.setAttribute("src", address);
      const labelled = scenes.find((other) => other.id === one.id)?.labelled_pixels ?? 0;
      count.textContent = labelled > 0 ? formatNumber(labelled) : "";
      count.hidden = labelled === 0;
      warning.hidden = !uncovered.has(one.id);
      warning.title = uncovered.get(one.id)?.warning ?? "";
      warning.setAttribute("aria-label", warning.title);
      if (isOpen && !wasOpen) item.scrollIntoView({ block: "nearest", inline: "center" });
    }
  });
}
