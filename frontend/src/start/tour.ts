/** Three steps for whoever opens the page for the first time; each is left when it is done, and all may be skipped. */

import { t, type Text } from "../i18n";
import type { Session, State } from "../session/session";
import { byId, h, replace } from "../ui/dom";

interface Step {
  readonly title: Text;
  readonly text: Text;
  /** What the step is about; outlined meanwhile. */
  readonly target: string;
  readonly isDone: (state: Readonly<State>) => boolean;
}

const STEPS: readonly Step[] = [
  {
    title: "Name what you look for",
    text: "Type the name of a class under Classes, water for one, and press Enter; then a second one.",
    target: ".add-class",
    isDone: ({ project }) => (project?.classes.length ?? 0) >= 2,
  },
  {
    title: "Mark a pixel of each",
    text: "Press 1 and click a pixel of the first class, then 2 and a pixel of the second. The map appears at once.",
    target: "#tools [data-tool=point]",
    isDone: ({ project }) => project?.map.ready ?? false,
  },
  {
    title: "Mend it, then export",
    text: "Where the map is wrong, mark a pixel with the right class. N shows where a mark helps most, Export writes the map.",
    target: "#export",
    isDone: () => false,
  },
];

const SEEN = "pixelkin.tour";

export interface Tour {
  start(): void;
}

export function buildTour(session: Session): Tour {
  const { store } = session;
  const card = h("section", { class: "tour", id: "tour", "aria-label": t("First steps"), hidden: true });
  byId("overlay").append(card);
  let at: number | null = null;

  const show = (step: number | null): void => {
    at = step;
    document.querySelector(".tour-target")?.classList.remove("tour-target");
    document.body.classList.toggle("touring", step !== null);
    card.hidden = step === null;
    if (step === null) return;
    const { title, text, target } = STEPS[step]!;
    document.querySelector(target)?.classList.add("tour-target");
    const isLast = step === STEPS.length - 1;
    replace(
      card,
      h("h2", {}, t(title)),
      h("p", {}, t(text)),
      step === 0 && sampleLink(session),
      h(
        "div",
        { class: "actions" },
        h("span", { class: "quiet steps" }, t("Step {n} of {of}", { n: step + 1, of: STEPS.length })),
        !isLast && h("button", { type: "button", class: "button small", onclick: finish }, t("Skip the tour")),
        h("button", { type: "button", class: "button small primary", onclick: () => (isLast ? finish() : show(step + 1)) }, isLast ? t("Done") : t("Next")),
      ),
    );
  };
  const finish = (): void => {
    localStorage.setItem(SEEN, "yes");
    show(null);
  };

  let isOpened = false;
  store.watch(["project"], (state) => {
    if (at !== null && STEPS[at]!.isDone(state)) show(at + 1);
    if (isOpened || !state.project) return;
    isOpened = true;
    if (state.project.classes.length === 0 && localStorage.getItem(SEEN) === null) show(0);
  });
  return { start: () => show(0) };
}

/** The way to the sample project, where there is one. */
export function sampleLink(session: Session): HTMLElement | false {
  return !!session.store.get().project?.has_sample && h("p", {}, h("a", { href: "./sample/", target: "_blank", class: "sample-link" }, t("Try it on a sample project")));
}
