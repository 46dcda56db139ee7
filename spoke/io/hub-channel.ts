// One grpc-js channel to the hub at a time, over a list of addresses: on failure the next address is tried, after a
// renewal a new channel replaces the old one while streams that are open finish on it.

import {
  Client,
  Metadata,
  status,
  type ClientReadableStream,
  type ClientDuplexStream,
  type ServiceError,
} from '@grpc/grpc-js';
import { WeirError, type ErrorCode } from '@weir/shared/errors/weir-error.ts';
import type { GrpcMethod } from '@weir/shared/wire/grpc-methods.ts';
import { HUB_CHANNEL_OPTIONS, hubCredentials } from './hub-credentials.ts';
import type { StoredIdentity } from './identity-store.ts';

/** Deadline of a unary call, milliseconds. */
export const UNARY_TIMEOUT_MS = 15_000;
const MESSAGE_BYTES_MAX = 8 << 20;

export interface HubChannel {
  unary<Request, Response>(
    method: GrpcMethod<Request, Response>,
    request: Request,
    signal: AbortSignal,
  ): Promise<Response>;
  serverStream<Request, Response>(
    method: GrpcMethod<Request, Response>,
    request: Request,
  ): ClientReadableStream<Response>;
  duplex<Request, Response>(method: GrpcMethod<Request, Response>): ClientDuplexStream<Request, Response>;
  /** Takes the next address for the calls to come. */
  failOver(): void;
  /** Uses a renewed identity for the calls to come. */
  replaceIdentity(identity: StoredIdentity): void;
  close(): void;
}

export function createHubChannel(addresses: readonly string[], identity: StoredIdentity): HubChannel {
  let present = identity;
  let position = 0;
  let client: Client | undefined;

  function open(): Client {
    client ??= new Client(addresses[position % addresses.length] ?? '', hubCredentials(present), {
      ...HUB_CHANNEL_OPTIONS,
      'grpc.keepalive_time_ms': 15_000,
      'grpc.keepalive_timeout_ms': 5_000,
      'grpc.keepalive_permit_without_calls': 1,
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
      'grpc.initial_reconnect_backoff_ms': 200,
      'grpc.max_reconnect_backoff_ms': 5_000,
      'grpc.enable_retries': 0,
      'grpc.use_local_subchannel_pool': 1,
    });
    return client;
  }

  function retire(): void {
    if (client === undefined) return;
    // grpc-js lets calls that are under way finish on a closed channel.
    client.close();
    client = undefined;
  }

  return {
    unary(method, request, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(new WeirError('cancelled', 'the call was cancelled'));
          return;
        }
        const call = open().makeUnaryRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          request,
          new Metadata(),
          { deadline: Date.now() + UNARY_TIMEOUT_MS },
          (error, response) => {
            signal.removeEventListener('abort', cancel);
            if (error !== null) reject(fromServiceError(error));
            else if (response === undefined) reject(new WeirError('internal', 'the hub answered nothing'));
            else resolve(response);
          },
        );
        const cancel = (): void => call.cancel();
        signal.addEventListener('abort', cancel, { once: true });
      });
    },
    serverStream: (method, request) =>
      open().makeServerStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        new Metadata(),
      ),
    duplex: (method) =>
      open().makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, new Metadata()),
    failOver() {
      if (addresses.length < 2) return;
      position += 1;
      retire();
    },
    replaceIdentity(next) {
      present = next;
      retire();
    },
    close() {
      retire();
    },
  };
}

const CODES: Readonly<Partial<Record<status, ErrorCode>>> = {
  [status.UNAVAILABLE]: 'unavailable',
  [status.DEADLINE_EXCEEDED]: 'timeout',
  [status.CANCELLED]: 'cancelled',
  [status.UNAUTHENTICATED]: 'unauthenticated',
  [status.PERMISSION_DENIED]: 'forbidden',
  [status.NOT_FOUND]: 'not_found',
  [status.ALREADY_EXISTS]: 'conflict',
  [status.INVALID_ARGUMENT]: 'invalid_argument',
  [status.FAILED_PRECONDITION]: 'conflict',
  [status.RESOURCE_EXHAUSTED]: 'resource_exhausted',
  [status.UNIMPLEMENTED]: 'unsupported',
};

/** The table gRPC status → error code; the message is the hub's own and client-safe. */
export function fromServiceError(error: ServiceError): WeirError {
  const code = CODES[error.code] ?? 'internal';
  const retry = code === 'unavailable' || code === 'timeout' || code === 'resource_exhausted' ? 'later' : 'never';
  return new WeirError(code, error.details === '' ? 'the hub could not be reached' : error.details, {
    cause: error,
    retry,
  });
}
