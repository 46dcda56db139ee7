// A line between a spoke and its hub that can be cut: plain bytes pass both ways until they do not.

import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface CutLine extends AsyncDisposable {
  /** `127.0.0.1:<port>`, to be dialled instead of the target. */
  readonly address: string;
  /** Breaks every connection at once and takes none until `mend`. */
  cut(): void;
  /** Breaks every connection after so many more bytes towards the target, in the middle of whatever they are. */
  cutAfter(bytes: number): void;
  mend(): void;
  /** How often it was cut. */
  readonly cuts: number;
}

export async function startCutLine(target: { readonly host: string; readonly port: number }): Promise<CutLine> {
  const ends = new Set<Socket>();
  let isCut = false;
  let left = Number.POSITIVE_INFINITY;
  let cuts = 0;

  function cut(): void {
    isCut = true;
    left = Number.POSITIVE_INFINITY;
    cuts += 1;
    // Not by a reset: a socket that its other half destroys in the middle of one never closes, nor lets the process end.
    for (const end of ends) end.destroy();
  }

  function track(end: Socket, other: () => Socket): void {
    ends.add(end);
    end.on('error', () => undefined);
    end.on('close', () => {
      ends.delete(end);
      other().destroy();
    });
  }

  const server = createServer((near) => {
    if (isCut) {
      near.destroy();
      return;
    }
    const far = connect(target.port, target.host);
    track(near, () => far);
    track(far, () => near);
    far.pipe(near);
    near.on('data', (chunk: Buffer) => {
      if (chunk.length >= left) {
        far.write(chunk.subarray(0, left), () => cut());
        left = Number.POSITIVE_INFINITY;
        return;
      }
      left -= chunk.length;
      if (!far.write(chunk)) {
        near.pause();
        far.once('drain', () => near.resume());
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    cutAfter(bytes) {
      left = bytes;
    },
    mend() {
      isCut = false;
    },
    get cuts() {
      return cuts;
    },
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
