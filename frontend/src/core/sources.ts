/** What a map stands on, in a labeller's words. */

import { formatList, t, type Text } from "../i18n";
import type { ModelInfo } from "./types";

const SOURCES: Readonly<Record<string, Text>> = {
  bands: "band values",
  embedding: "ready-made vectors",
  encoder: "features trained on these images",
  pretrained: "features learned from photographs",
};

/** A sentence; a source that the page does not know goes by its own name. */
export const standsOn = (model: ModelInfo): string => t("The map stands on {sources}.", { sources: formatList(model.features.map((one) => (SOURCES[one] ? t(SOURCES[one]) : one))) });
