/** The few lines that stand in for a framework. */

import { t } from "../i18n";

type Child = Node | string | null | false | undefined;
type Attributes = Record<string, unknown>;

/**
 * Make an element. `on...` attributes are listeners; `class`, `aria-*` and the like are attributes; true sets an attribute
 * without a value, false and null leave it out. Text is always text, never markup.
 */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  append(element, children);
  return element;
}

export function setAttributes(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on") && typeof value === "function") {
      element.addEventListener(name.slice(2), value as EventListener);
    } else if (name === "value" || name === "checked" || name === "disabled" || name === "selected") {
      (element as unknown as Record<string, unknown>)[name] = value;
    } else if (value === true) element.setAttribute(name, "");
    else if (value === false || value === null || value === undefined) element.removeAttribute(name);
    else element.setAttribute(name, String(value));
  }
}

export function append(element: Element, children: readonly Child[]): void {
  for (const child of children) if (child !== null && child !== undefined && child !== false) element.append(child);
}

export function replace(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  append(element, children);
}

export const byId = (id: string): HTMLElement => document.getElementById(id)!;

/** An element of a drawing. */
export function svg<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Attributes): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(element, attributes);
  return element;
}

export function svgText(content: string, x: number, y: number, anchor = "start"): SVGElement {
  const element = svg("text", { x, y, "text-anchor": anchor });
  element.textContent = content;
  return element;
}

const ICONS = {
  pan: "M9 11V5.5a1.5 1.5 0 0 1 3 0V11m0-1V4.5a1.5 1.5 0 0 1 3 0V11m0-.5v-4a1.5 1.5 0 0 1 3 0V14c0 4-2 7-6 7-3 0-4.500-1.500-6-4l-2-3.500c-.8-1.500 1-2.700 2.200-1.500L9 14.500V7.500a1.500 1.500 0 0 0-3 0V11",
  point: "M12 3v5M12 16v5M3 12h5M16 12h5M12 12h.01",
  scribble: "M4 17c3-9 5-11 6.500-9.500S8 15 10 16s4-9 6-8-1 7 1 7.500 3-2 3-2",
  box: "M4 6h16v12H4z",
  polygon: "M12 3l8 6-3 10H7L4 9z",
  edit: "M4 20h4L19 9l-4-4L4 16z",
  reshape: "M5 5h4v4H5zM15 15h4v4h-4zM9 7h10v8M5 9v8h10",
  erase: "M8 19h12M5 15l8-9a2 2 0 0 1 3 0l3 3a2 2 0 0 1 0 3l-7 7H9z",
  next: "M12 3v3M12 18v3M3 12h3M18 12h3M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
  undo: "M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6",
  redo: "M15 7l5 5-5 5M20 12H10a6 6 0 0 0-6 6",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  import: "M12 16V4M7 9l5-5 5 5M4 16v4h16v-4",
  export: "M12 4v12M7 11l5 5 5-5M4 16v4h16v-4",
  help: "M9 9a3 3 0 1 1 4.500 2.600c-1 .6-1.500 1.200-1.500 2.400M12 18h.01",
  jobs: "M4 6h16M4 12h10M4 18h7",
  panel: "M4 5h16v14H4zM14 5v14",
  play: "M8 5l11 7-11 7z",
  pause: "M8 5v14M16 5v14",
  close: "M6 6l12 12M18 6L6 18",
  check: "M4 5h11M4 10h7M4 15h5M12 15l3.500 3.500L21 11",
  eye: "M2 12c3-5 6-7 10-7s7 2 10 7c-3 5-6 7-10 7s-7-2-10-7zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  doubt: "M12 2.5l9.500 9.500-9.500 9.500L2.500 12zM12 8v5M12 16h.01",
  warning: "M12 4l9 16H3zM12 10v4M12 17h.01",
} as const;

export type IconName = keyof typeof ICONS;

export function icon(name: IconName): SVGElement {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  setAttributes(svg, { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" });
  const path = document.createElementNS(namespace, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon; its label is its tooltip and its name for a screen reader. */
export function iconButton(name: IconName, label: string, onclick: () => void, attributes: Attributes = {}): HTMLButtonElement {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...attributes }, icon(name));
}

export interface SwitchHandle {
  readonly row: HTMLElement;
  set(on: boolean): void;
}

/** A labelled switch; `key` is shown beside it. */
export function toggle(label: string, key: string, change: (on: boolean) => void): SwitchHandle {
  const input = h("input", { type: "checkbox", role: "switch", onchange: () => change(input.checked) });
  const row = h("label", { class: "switch" }, input, h("span", {}, label), h("kbd", {}, key));
  return {
    row,
    set: (on) => {
      input.checked = on;
    },
  };
}

/** Ask for a name in a dialog; `then` gets it, without spaces around it and never empty. */
export function askText(title: string, label: string, then: (text: string) => void): void {
  const input = h("input", { type: "text", maxlength: 80, required: true, pattern: ".*\\S.*" });
  const form = h(
    "form",
    { class: "fields", onsubmit: (event: Event) => (event.preventDefault(), dialog.close(), then(input.value.trim())) },
    h("label", {}, label, input),
    h("div", { class: "actions" }, h("button", { type: "submit", class: "button primary" }, t("Save"))),
  );
  const dialog = openDialog(title, form);
  input.focus();
}

/** Open a modal dialog; it removes itself when closed. Returns the dialog. */
export function openDialog(title: string, ...children: Child[]): HTMLDialogElement {
  const close = iconButton("close", t("Close"), () => dialog.close());
  const heading = h("h2", { tabindex: -1, autofocus: true }, title);
  const closed = (): void => {
    dialog.remove();
    // Chromium gives the focus back, but at times not the caret, which stays in the dialog's field: keys would type nothing.
    const back = document.activeElement;
    if (back instanceof HTMLInputElement || back instanceof HTMLTextAreaElement) {
      back.blur();
      back.focus();
    }
  };
  const dialog = h("dialog", { "aria-label": title, onclose: closed }, h("div", { class: "dialog-head" }, heading, close), ...children);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
