/** What an image is called: its date where it has one. */

import type { Scene } from "../core/types";
import { formatDate } from "../i18n";

export const sceneLabel = (scene: Scene): string => (scene.date ? formatDate(scene.date) : scene.name);
