/** An image that was gone through is locked: nobody changes its marks until it is opened again. */

import { api } from "../core/api";
import { t } from "../i18n";
import type { Session } from "../session/session";
import { h } from "../ui/dom";

export function buildReview(session: Session): HTMLElement {
  const { store } = session;
  const input = h("input", {
    type: "checkbox", role: "switch", id: "reviewed",
    onchange: () => {
      const { scene } = store.get();
      if (scene) void session.guard(async () => store.set({ people: await api.review(scene.id, input.checked) }));
    },
  });
  const about = h("p", { class: "quiet", id: "review-about", role: "status" });
  store.watch(["people", "scene"], ({ people, scene }) => {
    const by = scene ? people.reviews[scene.id] : undefined;
    input.checked = by !== undefined;
    input.disabled = people.you.role !== "review";
    about.textContent = by === undefined ? "" : by ? t("Reviewed by {name}: its marks are locked.", { name: by }) : t("Reviewed: its marks are locked.");
  });
  return h("section", { "aria-labelledby": "review-title" }, h("h2", { id: "review-title" }, t("Review")), h("label", { class: "switch" }, input, h("span", {}, t("This image is reviewed"))), about);
}
