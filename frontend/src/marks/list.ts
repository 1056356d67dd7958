/** All marks in a list: sort, filter, go to, give to another class, delete several. */

import type { Edit, Mark } from "../core/types";
import { t, type Text } from "../i18n";
import type { Session } from "../session/session";
import { askText, h, icon, replace } from "../ui/dom";
import { sceneLabel } from "../ui/scenes";
import { filterMarks, type MarkOrder } from "./filter";

const KINDS: Readonly<Record<Mark["kind"], Text>> = { point: "point", scribble: "scribble", box: "box", polygon: "polygon" };
const ORDERS: Readonly<Record<MarkOrder, Text>> = { newest: "newest first", class: "by class", size: "largest first" };
/** Rows made at a time; the rest is a button away. */
const PAGE = 100;
const NEW_CLASS = "new";

export function buildMarkList(session: Session, actions: { goToMark: (mark: Mark) => void; choose: (marks: readonly Mark[]) => void }): HTMLElement {
  const { store } = session;
  const chosen = new Set<string>();
  let rows = PAGE;

  const classes = h("select", { "aria-label": t("Class of the marks listed"), id: "marks-class", onchange: () => show() });
  const images = h("select", { "aria-label": t("Images of the marks listed"), id: "marks-images", onchange: () => void loadAndShow() });
  images.append(h("option", { value: "this" }, t("this image")), h("option", { value: "all" }, t("all images")));
  const order = h("select", { "aria-label": t("Order of the marks listed"), id: "marks-order", onchange: () => show() });
  for (const [value, text] of Object.entries(ORDERS)) order.append(h("option", { value }, t(text)));
  const suspect = h("input", { type: "checkbox", id: "marks-suspect", onchange: () => show() });
  const everything = h("input", { type: "checkbox", id: "marks-everything", "aria-label": t("Choose all marks listed"), onchange: () => chooseAll(everything.checked) });
  const summary = h("span", { id: "marks-summary", role: "status" });
  const list = h("ul", { class: "mark-list", "aria-label": t("Marks") });
  const more = h("button", { type: "button", class: "button small", onclick: () => ((rows += PAGE), show()) }, t("Show more"));
  const into = h("select", { id: "marks-into", "aria-label": t("Give the chosen marks to a class"), onchange: () => relabel() });
  const remove = h("button", { type: "button", class: "button small danger", id: "marks-delete", onclick: () => editChosen(t("Delete marks"), ({ id }) => ({ op: "delete_mark", id })) }, t("Delete"));
  const copyTo = h("select", { id: "marks-copy", "aria-label": t("Copy the chosen marks to a date"), onchange: () => copy() });
  const tools = h("div", { class: "mark-tools" }, into, copyTo, remove);
  const details = h(
    "details",
    { class: "marks", id: "marks", ontoggle: () => void loadAndShow() },
    h("summary", {}, h("h2", { id: "marks-title" }, t("Marks"))),
    h("div", { class: "mark-filters" }, classes, images, order, h("label", { class: "check" }, suspect, t("to check only"))),
    h("div", { class: "mark-head" }, h("label", { class: "check" }, everything, summary)),
    list,
    more,
    tools,
  );

  const listed = (): Mark[] => {
    const { project, scene, suspectLabels } = store.get();
    const scenes = images.value === "all" ? (project?.scenes ?? []) : scene ? [scene] : [];
    const classId = classes.value === "" ? null : Number(classes.value);
    return filterMarks(scenes.flatMap((one) => session.marksOf(one)), { classId, suspect: suspect.checked, order: order.value as MarkOrder }, suspectLabels.marks);
  };
  const chooseAll = (on: boolean): void => {
    chosen.clear();
    if (on) for (const { id } of listed()) chosen.add(id);
    show();
  };
  const editChosen = (title: string, make: (mark: Mark) => Edit, first: Edit[] = []): void => {
    const marks = listed().filter(({ id }) => chosen.has(id));
    if (marks.length > 0) session.edit(title, [...first, ...marks.map(make)]);
    chosen.clear();
    show();
  };
  const relabel = (): void => {
    const isNew = into.value === NEW_CLASS;
    const ids = (store.get().project?.classes ?? []).map((one) => one.id);
    const class_id = isNew ? Math.max(0, ...ids) + 1 : Number(into.value);
    const give = (first: Edit[]): void => editChosen(t("Change class of marks"), ({ id }) => ({ op: "update_mark", id, class_id }), first);
    // Marks that go to a class of their own split the one they had, in one step of undo.
    if (isNew) askText(t("New class"), t("Name"), (name) => give([{ op: "add_class", name, id: class_id }]));
    else give([]);
    into.value = "";
  };
  const copy = (): void => {
    session.copyMarks(listed().filter(({ id }) => chosen.has(id)), copyTo.value);
    copyTo.value = "";
  };
  const loadAndShow = async (): Promise<void> => {
    if (details.open && images.value === "all") await session.loadAllMarks();
    show();
  };

  const row = (mark: Mark): HTMLElement => {
    const { project, scene, suspectLabels } = store.get();
    const info = project?.classes.find((one) => one.id === mark.class_id);
    const name = mark.class_id === 0 ? t("eraser") : (info?.name ?? String(mark.class_id));
    const swatch = h("span", { class: "swatch small", "aria-hidden": "true" });
    swatch.style.background = info?.color ?? "transparent";
    const box = h("input", {
      type: "checkbox", checked: chosen.has(mark.id), "aria-label": t("Choose the mark of {name}", { name }),
      onchange: () => ((box.checked ? chosen.add(mark.id) : chosen.delete(mark.id)), show()),
    });
    const on = mark.scene === scene?.id ? null : project?.scenes.find((one) => one.id === mark.scene);
    const isSuspect = suspectLabels.marks.some((one) => one.mark === mark.id);
    const about = [t(KINDS[mark.kind]), t("{n} pixel|{n} pixels", { n: mark.pixels }), ...(mark.author ? [mark.author] : []), ...(on ? [sceneLabel(on)] : [])].join(" · ");
    return h(
      "li",
      { "data-mark": mark.id },
      box,
      h("button", { type: "button", class: "check-item", title: t("Show it"), onclick: () => actions.goToMark(mark) }, swatch, h("span", {}, h("strong", {}, name), " ", h("span", { class: "quiet" }, about)), isSuspect && icon("doubt")),
    );
  };

  const show = (): void => {
    if (!details.open) {
      actions.choose([]);
      return;
    }
    const { project } = store.get();
    const kept = classes.value;
    replace(classes, h("option", { value: "" }, t("all classes")), ...(project?.classes ?? []).map((one) => h("option", { value: String(one.id) }, one.name)), h("option", { value: "0" }, t("eraser")));
    classes.value = [...classes.options].some((one) => one.value === kept) ? kept : "";
    const marks = listed();
    const known = new Set(marks.map(({ id }) => id));
    for (const id of chosen) if (!known.has(id)) chosen.delete(id);
    // The list is made anew, and the keyboard's place in it must not be lost.
    const focused = document.activeElement instanceof HTMLElement && list.contains(document.activeElement) ? document.activeElement : null;
    const [focusedMark, focusedTag] = [focused?.closest<HTMLElement>("[data-mark]")?.dataset["mark"], focused?.tagName];
    const scrolled = list.scrollTop;
    replace(list, ...marks.slice(0, rows).map(row), marks.length === 0 && h("li", { class: "empty" }, t("No marks here yet. Choose a class and click a pixel of it.")));
    list.scrollTop = scrolled;
    if (focusedMark) list.querySelector<HTMLElement>(`[data-mark="${CSS.escape(focusedMark)}"] ${focusedTag}`)?.focus();
    more.hidden = marks.length <= rows;
    everything.checked = marks.length > 0 && chosen.size === marks.length;
    everything.indeterminate = chosen.size > 0 && chosen.size < marks.length;
    summary.textContent = chosen.size > 0 ? t("{n} of {of} chosen", { n: chosen.size, of: marks.length }) : t("{n} mark|{n} marks", { n: marks.length });
    replace(into, h("option", { value: "" }, t("Change class…")), ...(project?.classes ?? []).map((one) => h("option", { value: String(one.id) }, one.name)), h("option", { value: NEW_CLASS }, t("New class…")));
    const others = session.series.filter(({ id }) => id !== store.get().scene?.id);
    replace(copyTo, h("option", { value: "" }, t("Copy to date…")), ...others.map((one) => h("option", { value: one.id }, sceneLabel(one))));
    copyTo.hidden = others.length === 0 || images.value === "all";
    tools.hidden = chosen.size === 0;
    actions.choose(marks.filter(({ id }) => chosen.has(id)));
  };
  store.watch(["marks", "compareMarks", "project", "scene", "suspectLabels"], show);

  return h("section", { "aria-labelledby": "marks-title" }, details);
}
