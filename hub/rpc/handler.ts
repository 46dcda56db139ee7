// The one shape of an RPC handler, for both ports: plain functions over messages and async iterables. The servers in
// hub/io adapt it to grpc-js (machines) and Connect (people), so that a handler never sees a transport.

import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { GenService, GenServiceMethods } from '@bufbuild/protobuf/codegenv2';

/** Who a machine call comes from, read from its verified client certificate. */
export interface Peer {
  readonly workspace: string;
  readonly unit: string;
  readonly spoke: string;
  /** Certificate serial, lower-case hex. */
  readonly serial: string;
}

/** A call that needs no certificate: only `EnrollmentService.Join` is served so. */
export interface OpenContext {
  readonly remoteAddress: string;
  /** Aborted when the caller goes away, its deadline passes, its certificate expires or is denied, or the hub drains. */
  readonly signal: AbortSignal;
}

export interface MachineContext extends OpenContext {
  readonly peer: Peer;
}

/** Who calls the admin port. */
export interface Operator {
  readonly id: string;
  readonly name: string;
}

export interface OperatorContext {
  readonly operator: Operator;
  readonly signal: AbortSignal;
}

type MethodHandler<Method extends GenServiceMethods[string], Context, Extra> = Method extends {
  methodKind: 'unary';
}
  ? (
      request: MessageShape<Method['input']>,
      context: Context,
    ) => Promise<MessageInitShape<Method['output']>> | MessageInitShape<Method['output']>
  : Method extends { methodKind: 'server_streaming' }
    ? (
        request: MessageShape<Method['input']>,
        context: Context,
      ) => AsyncIterable<MessageInitShape<Method['output']> | Extra>
    : Method extends { methodKind: 'bidi_streaming' }
      ? (
          requests: AsyncIterable<MessageShape<Method['input']>>,
          context: Context,
        ) => AsyncIterable<MessageInitShape<Method['output']> | Extra>
      : (
          requests: AsyncIterable<MessageShape<Method['input']>>,
          context: Context,
        ) => Promise<MessageInitShape<Method['output']>>;

type Handlers<Service, Context, Extra> =
  Service extends GenService<infer Methods>
    ? { readonly [Name in keyof Methods]: MethodHandler<Methods[Name], Context, Extra> }
    : never;

/**
 * Handlers of a federation-port service. Streams are pulled: the next request message is read, and the next response
 * asked for, only when the transport has room. A stream may yield already encoded bytes (`Uint8Array`) instead of a message.
 * Thrown `WeirError`s become gRPC statuses by `error-map.ts`.
 */
export type MachineHandlers<Service> = Handlers<Service, MachineContext, Uint8Array>;

/** Handlers of an admin-port service. */
export type OperatorHandlers<Service> = Handlers<Service, OperatorContext, never>;
