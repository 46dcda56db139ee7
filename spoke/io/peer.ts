// Questions and answers between two processes of one spoke over Node's own channel. Both ends run the same code from the same
// installation; what travels is plain data, and an error keeps its code, its sentence and its advice.

import { WeirError, asWeirError, type ErrorCode, type RetryAdvice } from '@weir/shared/errors/weir-error.ts';

/** One end of the channel: a child process seen from its parent, or `process` seen from the child. */
export interface PeerChannel {
  send(message: unknown, done: (error: Error | null) => void): void;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  on(event: 'disconnect', listener: () => void): unknown;
}

/** By name; what they return is awaited. */
export type Answers = Readonly<Record<string, (input: never) => unknown>>;

export interface Peer {
  /** Rejects with the other side's error, `unavailable` when it is gone, `timeout` when it takes longer. */
  call(name: string, input: unknown, timeoutMs: number): Promise<unknown>;
  /** Without an answer; what does not arrive is lost. */
  tell(name: string, input: unknown): void;
}

interface ErrorData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly next: string;
  readonly retry: RetryAdvice;
  readonly detail: WeirError['detail'];
}

type Message =
  | { readonly kind: 'ask'; readonly id: number; readonly name: string; readonly input: unknown }
  | { readonly kind: 'tell'; readonly name: string; readonly input: unknown }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: ErrorData };

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export function createPeer(channel: PeerChannel, answers: Answers): Peer {
  const waiting = new Map<number, Waiting>();
  let asked = 0;
  let gone = false;

  channel.on('message', (message) => void receive(message as Message));
  channel.on('disconnect', () => {
    gone = true;
    for (const each of waiting.values()) each.reject(lost());
    waiting.clear();
  });

  async function receive(message: Message): Promise<void> {
    switch (message.kind) {
      case 'ask':
        send(await outcomeOf(message), ignore);
        break;
      case 'tell':
        await outcomeOf({ kind: 'ask', id: 0, name: message.name, input: message.input });
        break;
      case 'answer':
        settle(message.id)?.resolve(message.value);
        break;
      case 'error': {
        const { code, message: sentence, next, retry, detail } = message.error;
        settle(message.id)?.reject(new WeirError(code, sentence, { next, retry, detail }));
        break;
      }
    }
  }

  async function outcomeOf({ id, name, input }: Extract<Message, { kind: 'ask' }>): Promise<Message> {
    try {
      const answer = answers[name];
      if (answer === undefined) throw new WeirError('unsupported', `this process does not answer ${name}`);
      return { kind: 'answer', id, value: await answer(input as never) };
    } catch (thrown) {
      const { code, message, next, retry, detail } = asWeirError(thrown, 'internal', `${name} failed`);
      return { kind: 'error', id, error: { code, message, next, retry, detail } };
    }
  }

  function settle(id: number): Waiting | undefined {
    const found = waiting.get(id);
    waiting.delete(id);
    return found;
  }

  function send(message: Message, failed: (error: Error) => void): void {
    if (gone) {
      failed(lost());
      return;
    }
    try {
      channel.send(message, (error) => {
        if (error !== null) failed(error);
      });
    } catch (thrown) {
      failed(thrown as Error);
    }
  }

  return {
    call(name, input, timeoutMs) {
      asked += 1;
      const id = asked;
      return new Promise((resolve, reject) => {
        const late = setTimeout(() => {
          waiting.delete(id);
          reject(new WeirError('timeout', `a process of the spoke did not answer ${name} in time`, { retry: 'later' }));
        }, timeoutMs);
        const entry: Waiting = {
          resolve(value) {
            clearTimeout(late);
            resolve(value);
          },
          reject(error) {
            clearTimeout(late);
            reject(error);
          },
        };
        waiting.set(id, entry);
        send({ kind: 'ask', id, name, input }, () => settle(id)?.reject(lost()));
      });
    },
    tell: (name, input) => send({ kind: 'tell', name, input }, ignore),
  };
}

function lost(): WeirError {
  return new WeirError('unavailable', 'a process of the spoke has ended', { retry: 'later' });
}

function ignore(): void {
  // The other side is gone, which shows as the end of its process.
}
