/** Texts, numbers and dates in the user's language. An English text is its own key; `Text` names all there are. */

import type { Text } from "./de";

export type { Text } from "./de";

export const LANGUAGES = { en: "English", de: "Deutsch", fr: "Français", es: "Español", zh: "中文" } as const;
export type Language = keyof typeof LANGUAGES;
export type Texts = Readonly<Record<Text, string>>;

const KEPT = "pixelkin.language";

const LOADERS: Readonly<Record<Exclude<Language, "en">, () => Promise<{ default: Texts }>>> = {
  de: () => import("./de"),
  fr: () => import("./fr"),
  es: () => import("./es"),
  zh: () => import("./zh"),
};

const isLanguage = (name: string | null | undefined): name is Language => !!name && name in LANGUAGES;

/** What was chosen here before, else the first of the browser's languages that there is, else English. */
function chosen(): Language {
  const kept = typeof localStorage === "undefined" ? null : localStorage.getItem(KEPT);
  if (isLanguage(kept)) return kept;
  return navigator.languages.map((one) => one.split("-")[0]).find(isLanguage) ?? "en";
}

export const language: Language = chosen();
/** With the user's region where the browser names one. */
const locale = navigator.languages.find((one) => one.split("-")[0] === language) ?? language;
const plural = new Intl.PluralRules(locale);
let texts: Partial<Texts> = {};

/** Fetch the texts; to be awaited before anything is built. */
export async function loadTexts(): Promise<void> {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
  if (language !== "en") texts = (await LOADERS[language]()).default;
}

/** Give the elements that stand in the page from the beginning their names. */
export function translatePage(): void {
  for (const one of document.querySelectorAll("[aria-label]")) one.setAttribute("aria-label", tServer(one.getAttribute("aria-label")!));
  for (const one of document.querySelectorAll(".skip")) one.textContent = tServer(one.textContent ?? "");
}

/** Change the language; the page is built anew. */
export function chooseLanguage(one: Language): void {
  localStorage.setItem(KEPT, one);
  location.reload();
}

export type Values = Readonly<Record<string, string | number>>;

/** Fill `{name}` with values; of `one form|other form` the one that the number `n` takes. */
export function fill(text: string, values: Values, rules: Intl.PluralRules = plural): string {
  const [one, other] = text.split("|");
  const form = other === undefined || rules.select(Number(values["n"])) === "one" ? one! : other;
  return form.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? formatNumber(value) : value;
  });
}

/** A text of the page. */
export const t = (text: Text, values: Values = {}): string => fill(texts[text] ?? text, values);

/** A text with elements in the places of some of its `{names}`. */
export function tParts(text: Text, elements: Readonly<Record<string, Node>>, values: Values = {}): (Node | string)[] {
  return t(text, values).split(/(\{\w+\})/).map((part) => elements[part.slice(1, -1)] ?? part);
}

/** A sentence of the server's, where it is one of those that it says often; else as it is. */
export const tServer = (text: string): string => (texts as Readonly<Record<string, string>>)[text] ?? text;

export const formatNumber = (value: number, options: Intl.NumberFormatOptions = {}): string => new Intl.NumberFormat(locale, options).format(value);

/** Some things, with commas and an "and". */
export const formatList = (parts: readonly string[]): string => new Intl.ListFormat(locale).format(parts);

/** A share of 0..1. */
export const formatPercent = (share: number, digits = 0): string => formatNumber(share, { style: "percent", maximumFractionDigits: digits });

/** A date of the form 2020-06-21, as the user's region writes it. */
export function formatDate(iso: string): string {
  const date = new Date(`${iso.slice(0, 10)}T00:00:00Z`);
  return Number.isNaN(date.getTime()) ? iso : new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone: "UTC" }).format(date) + iso.slice(10).replace("T", " ");
}
