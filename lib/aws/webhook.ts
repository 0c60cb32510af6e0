import { setTimeout as delay } from 'node:timers/promises';

/** Waits before the second, third and fourth attempt, in milliseconds, each up to half as long again. */
const waits = [500, 2_000, 8_000] as const;
/** Slack says how long to wait when it is asked too often; a longer wait is left to the caller's own retries. */
const longestWait = 15_000;

/**
 * Posts JSON to a webhook. What may pass (no answer, 429, 5xx) is tried four times in all; a refusal is not. The URL
 * is a secret and appears in no error.
 */
export async function postJson(url: string, body: unknown): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const failure = await tryPost(url, body);
    if (failure === undefined) return;
    const wait = waits[attempt];
    const pause = Math.max(failure.retryAfterMs ?? 0, (wait ?? 0) * (1 + Math.random() / 2));
    if (!failure.passing || wait === undefined || pause > longestWait) {
      throw new Error(`the webhook ${failure.what}${attempt > 0 ? `, after ${attempt + 1} attempts` : ''}`);
    }
    await delay(pause);
  }
}

interface Failure {
  readonly what: string;
  readonly passing: boolean;
  readonly retryAfterMs?: number;
}

async function tryPost(url: string, body: unknown): Promise<Failure | undefined> {
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(5_000),
    });
    const text = (await answer.text()).slice(0, 200);
    if (answer.ok) return undefined;
    const seconds = Number(answer.headers.get('retry-after') ?? Number.NaN);
    return {
      what: `answered ${answer.status}: ${text}`,
      passing: answer.status === 429 || answer.status >= 500,
      ...(seconds >= 0 && { retryAfterMs: seconds * 1000 }),
    };
  } catch (error) {
    const { name, cause } = error as Error & { cause?: { code?: string } };
    return { what: `did not answer: ${cause?.code ?? name}`, passing: true };
  }
}
