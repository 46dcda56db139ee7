// Several pieces of work of one stream at once, answered in the order in which they came: the next requests are taken in
// while the first are still being stored, so that one commit can carry many.

/** Reads at most `limit` items ahead of the answer that is due; ends with the source, or with the first failure. */
export async function* inOrder<Item, Answer>(
  source: AsyncIterable<Item>,
  limit: number,
  work: (item: Item) => Promise<Answer>,
): AsyncGenerator<Answer> {
  const items = source[Symbol.asyncIterator]();
  const working: Promise<Answer>[] = [];
  let reading: Promise<IteratorResult<Item>> | undefined;
  let ended = false;
  try {
    for (;;) {
      if (!ended && reading === undefined && working.length < limit) reading = heard(items.next());
      const due = working[0];
      if (due === undefined && reading === undefined) return;
      const came = await Promise.race([...(due === undefined ? [] : [due.then(() => 'answer')]), ...maybe(reading)]);
      if (came === 'answer' && due !== undefined) {
        const answer = await due;
        void working.shift();
        yield answer;
      } else if (reading !== undefined) {
        const next = await reading;
        reading = undefined;
        if (next.done === true) ended = true;
        else working.push(heard(work(next.value)));
      }
    }
  } finally {
    // Not awaited: a source that is waiting for its next item cannot end before it comes.
    items.return?.().catch(() => undefined);
  }
}

function maybe(reading: Promise<unknown> | undefined): readonly Promise<string>[] {
  return reading === undefined ? [] : [reading.then(() => 'item')];
}

/** A failure is told when its turn comes; until then nobody is waiting for it. */
function heard<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(() => undefined);
  return promise;
}
