/** Short messages that go away by themselves. */

import { t } from "../i18n";
import type { Session } from "../session/session";
import { byId, h, iconButton, replace } from "./dom";

export function buildNotices(session: Session): void {
  session.store.watch(["notices"], ({ notices }) => {
    replace(
      byId("notices"),
      ...notices.map((notice) =>
        h("div", { class: "notice", "data-kind": notice.kind }, h("span", {}, notice.text), iconButton("close", t("Dismiss"), () => session.dismiss(notice.id), { class: "icon-button small" })),
      ),
    );
  });
}
