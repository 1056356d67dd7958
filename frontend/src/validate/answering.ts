/** The validation mode: a point at a time, all dates beside each other, a key for each class; the map is not shown. */

import { api, ApiError } from "../core/api";
import { Outbox } from "../core/outbox";
import { defaultPicture, pictureQuery } from "../core/picture";
import type { Mark, Scene } from "../core/types";
import { formatPercent, t } from "../i18n";
import type { Session } from "../session/session";
import { h, iconButton, replace, toggle } from "../ui/dom";
import { sceneLabel } from "../ui/scenes";
import { type AnswerBody, type Progress, type Sample, type SamplePoint, samplesApi, SETTLED, UNSURE } from "./api";
import { Chip, prefetch, type Window } from "./chip";
import { pending, sendLeftOver, setPending } from "./pending";
import { Round } from "./round";

/** Image pixels a side of a chip. */
const SPANS = [17, 33, 65, 129, 257, 513] as const;
/** How much more the picture of the surroundings shows. */
const WIDER = 8;
const AHEAD = 8;
/** How often the width of the interval is shown anew: at every answer it would tell whether the map agreed. */
const EVERY = 10;

/** Between chips, and below each for its date; as in the style sheet. */
const GAP = 10;
const CAPTION = 24;

/** Side of so many squares that all of them fit into a rectangle. */
export function largestSide(count: number, width: number, height: number): number {
  let best = 40;
  for (let across = 1; across <= count; across++) {
    const down = Math.ceil(count / across);
    best = Math.max(best, Math.floor(Math.min((width - GAP * (across - 1)) / across, (height - GAP * (down - 1)) / down - CAPTION)));
  }
  return best;
}

export async function answerPoints(session: Session, sample: Sample, interpreter: string, target: number, closed: () => void): Promise<void> {
  await sendLeftOver(sample.id);
  const [points, first] = await Promise.all([samplesApi.points(sample.id, interpreter), samplesApi.progress(sample.id, interpreter, target)]);
  new Answering(session, sample, interpreter, target, new Round(points), closed).start(first);
}

class Answering {
  private readonly outbox: Outbox<Progress>;
  private span: number = SPANS[1];
  private chips: { scene: Scene; chip: Chip; wider: boolean }[] = [];
  private place = "";
  private marks = new Map<string, readonly Mark[]>();
  private marksShown = false;
  private told = -1;

  private readonly where = h("strong", { id: "validation-where" });
  private readonly progress = h("span", { id: "validation-progress", class: "quiet" });
  private readonly width = h("span", { id: "validation-width", class: "quiet" });
  private readonly saved = h("span", { class: "chip", role: "status", id: "validation-saved" });
  private readonly grid = h("div", { class: "chips" });
  private readonly others = h("p", { class: "quiet", id: "validation-said", hidden: true });
  private readonly note = h("input", { type: "text", id: "validation-note", maxlength: 1000, "aria-label": t("Note"), placeholder: `${t("Note")} (N)` });
  private readonly buttons: { name: string; button: HTMLButtonElement }[];
  private readonly dialog: HTMLDialogElement;

  constructor(
    private readonly session: Session,
    private readonly sample: Sample,
    private readonly interpreter: string,
    private readonly target: number,
    private readonly round: Round,
    private readonly closed: () => void,
  ) {
    this.outbox = new Outbox<Progress>({
      retryable: (error) => error instanceof ApiError && error.isOffline,
      changed: (waiting, stuck) => this.showSaved(waiting, stuck),
    });
    this.buttons = [...sample.choices.map((one) => ({ ...one, text: one.name })), { name: UNSURE, color: "", key: "U", text: t("unsure") }].map(({ name, color, key, text }) => {
      const swatch = h("span", { class: "swatch small", "aria-hidden": "true" });
      swatch.style.background = color || "transparent";
      return { name, button: h("button", { type: "button", class: "button answer", "data-answer": name, onclick: () => this.give(name) }, swatch, h("span", {}, text), key !== null && h("kbd", {}, key)) };
    });
    const marks = toggle(t("Show marks"), "L", (isOn) => void this.session.guard(() => this.showMarks(isOn)));
    const title = interpreter === SETTLED ? t("Settle differences") : t("Answer points");
    this.dialog = h(
      "dialog",
      { class: "validation", "aria-label": title, onclose: () => this.close(), onkeydown: (event: KeyboardEvent) => this.onKey(event) },
      h("header", {}, this.where, this.progress, this.width, h("span", { class: "spacer" }), this.saved, iconButton("close", t("Close"), () => this.dialog.close())),
      this.grid,
      h(
        "footer",
        {},
        this.others,
        h("div", { class: "answers", role: "group", "aria-label": t("Class") }, ...this.buttons.map(({ button }) => button)),
        h(
          "div",
          { class: "answer-tools" },
          h("button", { type: "button", class: "button small", id: "validation-back", onclick: () => this.step(-1) }, t("Back"), " ", h("kbd", {}, "←")),
          h("button", { type: "button", class: "button small", id: "validation-next", onclick: () => this.step(1) }, t("Next"), " ", h("kbd", {}, "→")),
          iconButton("plus", `${t("Zoom in")} (+)`, () => this.zoom(-1), { class: "icon-button small" }),
          iconButton("minus", `${t("Zoom out")} (-)`, () => this.zoom(1), { class: "icon-button small" }),
          marks.row,
          this.note,
        ),
      ),
    );
    this.note.addEventListener("change", () => this.keepNote());
  }

  start(first: Progress): void {
    document.body.append(this.dialog);
    window.addEventListener("beforeunload", this.hold);
    window.addEventListener("resize", this.redraw);
    this.dialog.showModal();
    this.showSaved(0, false);
    this.take(first);
    this.show();
    (this.buttons[0]?.button ?? this.dialog).focus();
  }

  private readonly hold = (event: Event): void => {
    if (this.outbox.waiting > 0) event.preventDefault();
  };
  private readonly redraw = (): void => void this.draw();

  private close(): void {
    window.removeEventListener("resize", this.redraw);
    this.dialog.remove();
    this.closed();
  }

  // Answers

  private give(name: string): void {
    const { current } = this.round;
    if (!current || current.is_marked) return;
    performance.mark("pixelkin:answered");
    this.round.answer(name, this.note.value.trim());
    this.send(current);
    this.show();
  }

  private keepNote(): void {
    const { current } = this.round;
    if (!current || current.answer === null || current.note === this.note.value.trim()) return;
    current.note = this.note.value.trim();
    this.send(current);
  }

  private send(point: SamplePoint): void {
    const body: AnswerBody = { key: crypto.randomUUID(), interpreter: this.interpreter, point: point.point, class_name: point.answer!, note: point.note, target: this.target };
    const { id } = this.sample;
    setPending(id, [...pending(id), body]);
    this.outbox.push({
      key: body.key,
      send: () => samplesApi.answer(id, body),
      delivered: (progress) => {
        setPending(id, pending(id).filter(({ key }) => key !== body.key));
        this.take(progress);
      },
      refused: (error) => {
        setPending(id, pending(id).filter(({ key }) => key !== body.key));
        point.answer = null;
        this.round.at = this.round.points.indexOf(point);
        this.show();
        // The page's own notices lie below this dialog.
        this.others.hidden = false;
        this.others.textContent = error instanceof Error ? error.message : String(error);
      },
    });
  }

  // What is shown

  private showSaved(waiting: number, stuck: boolean): void {
    this.saved.dataset["state"] = stuck ? "offline" : waiting > 0 ? "saving" : "saved";
    this.saved.textContent = stuck ? `${t("Server away")} · ${t("{n} to send", { n: waiting })}` : waiting > 0 ? t("Saving…") : t("Saved");
    if (waiting === 0 && !this.dialog?.isConnected) window.removeEventListener("beforeunload", this.hold);
  }

  private take(progress: Progress): void {
    const { answered, so_far } = progress;
    if (this.told >= 0 && answered !== progress.points - progress.marked && Math.floor(answered / EVERY) === Math.floor(this.told / EVERY)) return;
    this.told = answered;
    const half = so_far && formatPercent(so_far.half_width, 1);
    const goal = formatPercent(this.target, 1);
    const missing = (n: number): string => (n > 0 ? t("about {n} more point for ± {goal}|about {n} more points for ± {goal}", { n, goal }) : t("± {goal} is reached", { goal }));
    this.width.textContent = so_far === null ? "" : `${so_far.figure === "accuracy" ? t("overall accuracy ± {half}", { half: half! }) : t("shares of classes ± {half} at most", { half: half! })} · ${missing(so_far.more)}`;
  }

  private show(): void {
    const { points, current } = this.round;
    const answered = points.filter((one) => one.answer !== null).length;
    const unsure = points.filter((one) => one.answer === UNSURE).length;
    this.where.textContent = points.length === 0 ? t("There is nothing to answer.") : this.round.isDone ? t("All points are answered.") : t("Point {n} of {of}", { n: this.round.at + 1, of: points.length });
    this.progress.textContent = [t("{n} answered", { n: answered }), ...(unsure > 0 ? [t("{n} unsure", { n: unsure })] : [])].join(" · ");
    for (const { name, button } of this.buttons) {
      button.setAttribute("aria-pressed", String(current?.answer === name));
      button.disabled = !current || current.is_marked;
    }
    this.note.value = current?.note ?? "";
    const said = Object.entries(current?.said ?? {}).map(([who, name]) => `${who}: ${name === UNSURE ? t("unsure") : name}`);
    this.others.hidden = said.length === 0 && !current?.is_marked;
    this.others.textContent = current?.is_marked ? t("This pixel is marked, so that it is no independent evidence, and it is not asked.") : said.join(" · ");
    if (current) this.layChips(current);
    void this.draw();
  }

  private step(by: 1 | -1): void {
    this.keepNote();
    this.round.step(by);
    this.show();
  }

  private zoom(by: number): void {
    this.span = SPANS[Math.max(0, Math.min(SPANS.length - 1, SPANS.indexOf(this.span as (typeof SPANS)[number]) + by))]!;
    void this.draw();
  }

  /** One chip a date, and the surroundings on the last one. */
  private layChips(point: SamplePoint): void {
    const scenes = this.session.store.get().project?.scenes ?? [];
    const own = scenes.find((one) => one.id === point.scene);
    if (!own || this.place === String(own.series)) return;
    this.place = String(own.series);
    const dates = scenes.filter((one) => one.series === own.series);
    const shown = [{ scene: dates.at(-1)!, wider: true }, ...dates.map((scene) => ({ scene, wider: false }))];
    this.chips = shown.map((one) => ({ ...one, chip: new Chip() }));
    replace(this.grid, ...this.chips.map(({ scene, wider, chip }) => h("figure", { class: "chip-figure" }, chip.canvas, h("figcaption", {}, wider ? `${t("Surroundings")} · ${sceneLabel(scene)}` : sceneLabel(scene)))));
  }

  private windowOf(point: SamplePoint, scene: Scene, wider: boolean): Window {
    const { picture, scene: open } = this.session.store.get();
    const query = pictureQuery(open && open.series === scene.series ? picture : defaultPicture(scene));
    return { scene, query, row: point.row, col: point.col, span: wider ? this.span * WIDER - 7 : this.span };
  }

  private async draw(): Promise<void> {
    const { current } = this.round;
    delete this.grid.dataset["shown"];
    if (!current) return;
    this.grid.style.setProperty("--side", `${largestSide(this.chips.length, this.grid.clientWidth - 2 * GAP, this.grid.clientHeight - 2 * GAP)}px`);
    const classes = this.session.store.get().project?.classes ?? [];
    const colorOf = (id: number): string | null => classes.find((one) => one.id === id)?.color ?? null;
    const drawn = await Promise.all(
      this.chips.map(({ scene, chip, wider }) => chip.show(this.windowOf(current, scene, wider), this.marksShown ? (this.marks.get(scene.id) ?? []) : [], colorOf)),
    );
    if (current !== this.round.current || !drawn.every(Boolean)) return;
    this.grid.dataset["shown"] = String(current.point);
    performance.mark("pixelkin:point", { detail: current.point });
    const scenes = this.session.store.get().project?.scenes ?? [];
    for (const next of this.round.ahead(AHEAD)) {
      const series = scenes.find((one) => one.id === next.scene)?.series;
      for (const { scene, wider } of this.chips) if (scene.series === series) prefetch(this.windowOf(next, scene, wider));
    }
  }

  private async showMarks(isOn: boolean): Promise<void> {
    this.marksShown = isOn;
    if (isOn) await Promise.all(this.chips.map(async ({ scene }) => this.marks.set(scene.id, (await api.marks(scene.id)).marks)));
    await this.draw();
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === this.note) {
      if (event.key === "Enter" || event.key === "Escape") {
        event.preventDefault();
        this.buttons[0]?.button.focus();
      }
      return;
    }
    const key = event.key.toLowerCase();
    const chosen = this.sample.choices.find((one) => one.key === event.key)?.name ?? (key === UNSURE[0] ? UNSURE : undefined);
    if (chosen !== undefined) this.give(chosen);
    else if (event.key === "ArrowLeft" || event.key === "Backspace") this.step(-1);
    else if (event.key === "ArrowRight") this.step(1);
    else if (event.key === "+" || event.key === "=") this.zoom(-1);
    else if (event.key === "-") this.zoom(1);
    else if (key === "n") this.note.focus();
    else if (key === "l") this.dialog.querySelector<HTMLInputElement>(".answer-tools input[role=switch]")?.click();
    else return;
    event.preventDefault();
  }
}
