/** Answers that the server has not acknowledged yet, kept in the browser: a tab that is killed loses none. */

import { ApiError } from "../core/api";
import { type AnswerBody, samplesApi } from "./api";

const nameOf = (sample: string): string => `pixelkin.answers.${sample}`;

export function pending(sample: string): AnswerBody[] {
  return JSON.parse(localStorage.getItem(nameOf(sample)) ?? "[]") as AnswerBody[];
}

export function setPending(sample: string, bodies: readonly AnswerBody[]): void {
  if (bodies.length === 0) localStorage.removeItem(nameOf(sample));
  else localStorage.setItem(nameOf(sample), JSON.stringify(bodies));
}

/** Send what an earlier tab could not. The server takes a key once, so that nothing happens twice; what it refuses is given up. */
export async function sendLeftOver(sample: string): Promise<void> {
  for (const body of pending(sample)) {
    try {
      await samplesApi.answer(sample, body);
    } catch (error) {
      if (!(error instanceof ApiError) || error.isOffline) throw error;
    }
    setPending(sample, pending(sample).filter(({ key }) => key !== body.key));
  }
}
