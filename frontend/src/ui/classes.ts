/** Classes: choose, add, name, colour, key, merge, delete; counts and areas beside each. */

import { formatNumber, formatPercent, t } from "../i18n";
import type { ClassInfo } from "../core/types";
import type { Session } from "../session/session";
import { h, icon, iconButton, openDialog, replace } from "./dom";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];

function formatShare(area: number | null, unit: string, pixels: number, fraction: number): string {
  const share = formatPercent(fraction, fraction >= 0.0995 || fraction === 0 ? 0 : 1);
  const size = area === null ? t("{n} px", { n: pixels }) : `${formatNumber(area, { maximumFractionDigits: area < 10 ? 2 : area < 100 ? 1 : 0 })} ${unit}`;
  return `${size} · ${share}`;
}

export function buildClasses(session: Session, goToOverlap: () => void): HTMLElement {
  const { store } = session;
  const list = h("div", { class: "classes", role: "radiogroup", "aria-label": t("Class to mark with") });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const classes = store.get().project?.classes ?? [];
    const next = step && classes[classes.findIndex((one) => one.id === store.get().classId) + step];
    if (!next) return;
    event.preventDefault();
    event.stopPropagation();
    store.set({ classId: next.id });
    rows.get(next.id)?.row.querySelector<HTMLElement>("[role=radio]")?.focus();
  });
  const name = h("input", { type: "text", maxlength: 80, placeholder: t("New class"), "aria-label": t("Name of the new class"), id: "new-class", autocomplete: "off" });
  const form = h(
    "form",
    {
      class: "add-class",
      onsubmit: (event: Event) => {
        event.preventDefault();
        const text = name.value.trim();
        if (!text) return;
        session.addClass(text);
        name.value = "";
      },
    },
    name,
    h("button", { type: "submit", class: "icon-button", "aria-label": t("Add class"), title: `${t("Add class")} (A)` }, icon("plus")),
  );
  const overlap = h("button", { type: "button", class: "overlap", id: "overlaps", onclick: goToOverlap });
  const total = h("p", { class: "quiet", id: "area-note" });

  // Rows are kept while the classes' order is the same, so that focus stays where it is when counts change.
  const rows = new Map<number, { row: HTMLElement; update: (info: ClassInfo) => void }>();
  const makeRow = (first: ClassInfo): { row: HTMLElement; update: (info: ClassInfo) => void } => {
    let info = first;
    const swatch = h("span", { class: "swatch" });
    const key = h("kbd");
    const title = h("span", { class: "class-name" });
    const counts = h("span", { class: "class-counts" });
    const areas = h("span", { class: "class-area" });
    const meter = h("span", { class: "meter" });
    const choose = h(
      "button",
      {
        type: "button", role: "radio", class: "class-choose",
        onclick: () => store.set({ classId: info.id }),
        ondblclick: () => editClass(session, info.id),
        onkeydown: (event: KeyboardEvent) => {
          if (event.key === "F2") editClass(session, info.id);
        },
      },
      swatch,
      h("span", { class: "class-text" }, title, counts, areas, meter),
      key,
    );
    const edit = iconButton("edit", "", () => editClass(session, info.id), { class: "icon-button small" });
    const row = h("div", { class: "class-row" }, choose, edit);
    const update = (next: ClassInfo): void => {
      info = next;
      const { classId, areas: all } = store.get();
      row.dataset["classId"] = String(info.id);
      row.dataset["name"] = info.name;
      choose.setAttribute("aria-checked", String(info.id === classId));
      swatch.style.background = meter.style.background = info.color;
      title.textContent = info.name;
      key.textContent = info.key ?? "";
      key.hidden = info.key === null;
      counts.textContent = t("{n} px marked", { n: info.labelled_pixels });
      const area = all?.classes.find((one) => one.id === info.id);
      const fraction = area?.fraction ?? null;
      areas.textContent = area && fraction !== null ? formatShare(area.area, all!.unit, area.pixels, fraction) : "";
      meter.style.width = `${(fraction ?? 0) * 100}%`;
      edit.setAttribute("aria-label", t("Edit class {name}", { name: info.name }));
      edit.title = `${t("Rename, colour, key, merge, delete")} (F2)`;
    };
    return { row, update };
  };

  store.watch(["project", "classId", "areas"], ({ project, areas }) => {
    const classes = project?.classes ?? [];
    for (const id of [...rows.keys()]) if (!classes.some((one) => one.id === id)) rows.delete(id);
    for (const info of classes) {
      if (!rows.has(info.id)) rows.set(info.id, makeRow(info));
      rows.get(info.id)!.update(info);
    }
    const wanted = classes.map((info) => rows.get(info.id)!.row);
    if (wanted.length !== list.children.length || wanted.some((row, i) => list.children[i] !== row)) list.replaceChildren(...wanted);
    if (classes.length === 0) replace(list, h("p", { class: "empty" }, t("Name the first class below: water, road, forest… Then mark a few of its pixels.")));
    total.textContent = areas && areas.complete < 1 ? t("Areas of the {share} of the image mapped so far.", { share: formatPercent(areas.complete) }) : "";
  });
  store.watch(["overlapTotal"], ({ overlapTotal }) => {
    overlap.hidden = overlapTotal === 0;
    replace(overlap, icon("warning"), h("span", {}, t("{n} pixel marked with two classes. The later mark counts. Show|{n} pixels marked with two classes. The later mark counts. Show", { n: overlapTotal })));
  });

  return h("section", { "aria-labelledby": "classes-title" }, h("h2", { id: "classes-title" }, t("Classes")), list, form, overlap, total);
}

/** Everything one can do to a class, in one dialog. */
export function editClass(session: Session, id: number): void {
  const project = session.store.get().project;
  const info = project?.classes.find((one) => one.id === id);
  if (!project || !info) return;
  const others = project.classes.filter((one) => one.id !== id);
  const name = h("input", { type: "text", value: info.name, maxlength: 80, required: true, id: "class-name" });
  const color = h("input", { type: "color", value: info.color, id: "class-color" });
  const key = h("select", { id: "class-key" }, h("option", { value: "" }, t("none")), ...KEYS.map((one) => h("option", { value: one, selected: one === info.key }, one)));
  const into = h("select", { id: "class-into" }, ...others.map((one) => h("option", { value: String(one.id) }, one.name)));
  const form = h(
    "form",
    {
      class: "fields",
      onsubmit: (event: Event) => {
        event.preventDefault();
        const change = {
          ...(name.value.trim() !== info.name ? { name: name.value.trim() } : {}),
          ...(color.value !== info.color ? { color: color.value } : {}),
          ...((key.value || null) !== info.key ? { key: key.value || null } : {}),
        };
        if (Object.keys(change).length > 0) session.updateClass(id, change);
        dialog.close();
      },
    },
    h("label", {}, t("Name"), name),
    h("label", {}, t("Colour"), color),
    h("label", {}, t("Key"), key),
    h("div", { class: "actions" }, h("button", { type: "submit", class: "button primary" }, t("Save"))),
  );
  const merge =
    others.length > 0 &&
    h(
      "div",
      { class: "fields divided" },
      h("label", {}, t("Merge into"), into),
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", class: "button", id: "class-merge", onclick: () => (session.mergeClass(id, Number(into.value)), dialog.close()) }, t("Merge")),
      ),
    );
  const remove = h(
    "div",
    { class: "fields divided" },
    h("p", { class: "quiet" }, `${t("{n} mark|{n} marks", { n: info.marks })}, ${t("{n} pixel|{n} pixels", { n: info.labelled_pixels })}. ${t("Undo brings everything back.")}`),
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", class: "button danger", id: "class-delete", onclick: () => (session.deleteClass(id), dialog.close()) }, t("Delete class and its marks")),
    ),
  );
  const dialog = openDialog(t("Class {name}", { name: info.name }), form, merge, remove);
  name.focus();
  name.select();
}
