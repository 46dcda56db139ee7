// Work at the same time that succeeds or fails as one: the first failure ends the rest, and nothing is under way any more
// when it is told.

/** @throws the first failure, or the signal's reason once every task has noticed that it aborted */
export async function together<Result>(
  signal: AbortSignal | undefined,
  begin: (signal: AbortSignal) => readonly Promise<Result>[],
): Promise<readonly Result[]> {
  const failing = new AbortController();
  const tasks = begin(signal === undefined ? failing.signal : AbortSignal.any([signal, failing.signal]));
  for (const task of tasks) task.catch((thrown: unknown) => failing.abort(thrown));
  await Promise.allSettled(tasks);
  if (failing.signal.aborted) throw failing.signal.reason;
  return Promise.all(tasks);
}
