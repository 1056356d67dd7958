/** Who else is here, and where: said to the server now and then, and shown in the header and on the strip. */

import { api } from "../core/api";
import type { PeopleInfo, Presence } from "../core/types";
import { formatNumber, t } from "../i18n";
import type { Session } from "../session/session";
import { byId, h, openDialog, replace } from "../ui/dom";
import { sceneLabel } from "../ui/scenes";

/** The server takes a page that is silent for thirty seconds for closed. */
const SAY_AGAIN_MS = 10_000;
/** A pointer moves on all the time; others need not know every pixel. */
const SETTLE_MS = 2000;

export function buildPeople(session: Session, goTo: (place: Presence) => void): void {
  const { store } = session;
  const page = crypto.randomUUID();
  const chip = h("button", { type: "button", class: "chip", id: "people", hidden: true, onclick: () => list() });
  byId("connection").before(chip);

  const others = (): readonly Presence[] => store.get().people.pages.filter((one) => one.page !== page);
  const nameOf = (one: Presence): string => one.name || t("somebody");

  const list = (): void => {
    const scenes = store.get().project?.scenes ?? [];
    const rows = others().map((one) => {
      const scene = scenes.find(({ id }) => id === one.scene);
      return h("li", {}, h("span", {}, h("strong", {}, nameOf(one)), " ", h("span", { class: "quiet" }, scene ? sceneLabel(scene) : "")), h("button", { type: "button", class: "button small", onclick: () => (dialog.close(), goTo(one)) }, t("Go there")));
    });
    const dialog = openDialog(t("Who is here"), h("ul", { class: "people" }, ...rows), rows.length === 0 && h("p", { class: "empty" }, t("Nobody else.")));
  };

  const take = (people: PeopleInfo): void => store.set({ people });
  let timer: number | undefined;
  const say = async (): Promise<void> => {
    clearTimeout(timer);
    timer = window.setTimeout(() => void say(), SAY_AGAIN_MS);
    const { scene, pixel, online } = store.get();
    if (!scene || !online || document.visibilityState === "hidden") return;
    await api.presence(page, scene.id, pixel?.row ?? scene.height / 2, pixel?.col ?? scene.width / 2).then(take, () => undefined);
  };
  const saySoon = (): void => {
    clearTimeout(timer);
    timer = window.setTimeout(() => void say(), SETTLE_MS);
  };
  session.onPeople = () => void api.people().then(take, () => undefined);
  store.watch(["scene"], ({ scene }) => void (scene && say()));
  store.watch(["pixel"], ({ pixel }) => pixel && saySoon());
  document.addEventListener("visibilitychange", () => void say());
  window.addEventListener("pagehide", () => void api.presence(page, null, 0, 0).catch(() => undefined));

  store.watch(["people", "project"], ({ people }) => {
    const here = others();
    chip.hidden = here.length === 0 && people.you.name === "";
    const names = [...new Set(here.map(nameOf))].join(", ");
    replace(chip, [people.you.name, here.length > 0 ? `+${formatNumber(here.length)}` : ""].join(" ").trim());
    chip.setAttribute("aria-label", `${chip.textContent}: ${t("Who is here")}`);
    chip.title = names ? `${t("Who is here")}: ${names}` : t("Nobody else.");
    document.body.dataset["role"] = people.you.role;
  });
  store.watch(["people", "project", "scene"], () => {
    for (const item of document.querySelectorAll<HTMLElement>(".date")) {
      const there = others().filter((one) => one.scene === item.dataset["scene"]);
      let badge = item.querySelector<HTMLElement>(".here");
      if (there.length > 0 && !badge) item.append((badge = h("span", { class: "here" })));
      if (badge) {
        badge.hidden = there.length === 0;
        badge.textContent = there.map((one) => nameOf(one).slice(0, 1).toUpperCase()).join("").slice(0, 4);
        badge.title = there.map(nameOf).join(", ");
      }
    }
  });
}
