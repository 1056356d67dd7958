import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { fill, formatDate, formatPercent, t, type Text } from "../src/i18n";
import de from "../src/i18n/de";
import es from "../src/i18n/es";
import fr from "../src/i18n/fr";
import zh from "../src/i18n/zh";

const names = (text: string): string[] => [...new Set(text.match(/\{\w+\}/g) ?? [])].sort();
/** Sentences that the server says; the page knows them by heart. */
const OF_THE_SERVER = ["Mark at least two classes.", "Mark each class in two parts of the image at least, away from one another.", "The engine is starting."];

describe("catalogue", () => {
  const keys = Object.keys(de) as Text[];

  it.each(Object.entries({ de, fr, es, zh }))("%s has every text, with its places and its forms", (language, texts) => {
    expect(Object.keys(texts)).toEqual(keys);
    for (const key of keys) {
      const forms = texts[key].split("|");
      expect(forms.length, key).toBe(key.includes("|") && language !== "zh" ? 2 : 1);
      for (const form of forms) expect(names(form), key).toEqual(names(key));
    }
  });

  it("has no text that the page does not use", () => {
    const root = new URL("..", import.meta.url).pathname;
    const files = (readdirSync(join(root, "src"), { recursive: true }) as string[]).filter((name) => name.endsWith(".ts") && !name.startsWith("i18n"));
    const sources = [...files.map((name) => join(root, "src", name)), join(root, "index.html")].map((path) => readFileSync(path, "utf8")).join("\n");
    expect(keys.filter((key) => ![`"${key}"`, `>${key}<`].some((one) => sources.includes(one)) && !OF_THE_SERVER.includes(key))).toEqual([]);
  });
});

describe("texts", () => {
  it("are filled, and take the form of their number", () => {
    expect(t("{n} mark|{n} marks", { n: 1 })).toBe("1 mark");
    expect(t("{n} mark|{n} marks", { n: 1200 })).toBe("1,200 marks");
    const french = new Intl.PluralRules("fr");
    expect([0, 1, 2].map((n) => fill("{n} marque|{n} marques", { n }, french))).toEqual(["0 marque", "1 marque", "2 marques"]);
  });

  it("write dates and shares as the region does", () => {
    expect(formatDate("2020-06-21")).toBe("Jun 21, 2020");
    expect(formatDate("2020-06-21T10:30:00")).toBe("Jun 21, 2020 10:30:00");
    expect(formatDate("after the flood")).toBe("after the flood");
    expect(formatPercent(0.125, 1)).toBe("12.5%");
  });
});
