import type { Client } from 'pg';

/** Does the work for every item, one at a time on each connection; the answers keep the order of the items. */
export async function spread<Item, Answer>(
  clients: readonly Client[],
  items: readonly Item[],
  work: (client: Client, item: Item) => Promise<Answer>,
): Promise<Answer[]> {
  if (clients.length === 0) throw new Error('spread needs a connection');
  const answers: Answer[] = [];
  const waiting = items.entries();
  await Promise.all(
    clients.map(async (client) => {
      for (const [i, item] of waiting) answers[i] = await work(client, item);
    }),
  );
  return answers;
}
