// Turns a generated service descriptor into the method table that grpc-js wants on both ends: servers register it,
// clients are made from it. Pure data and codecs; no socket and no grpc-js import.

import type { DescMessage, DescMethod, Message, MessageShape } from '@bufbuild/protobuf';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import type { GenService, GenServiceMethods } from '@bufbuild/protobuf/codegenv2';

/** One method as grpc-js describes it (structurally its `MethodDefinition`). */
export interface GrpcMethod<Request, Response> {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Request;
  readonly responseSerialize: (value: Response) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
  readonly originalName: string;
}

export type GrpcMethods<Methods extends GenServiceMethods> = {
  readonly [Name in keyof Methods]: GrpcMethod<
    MessageShape<Methods[Name]['input']>,
    MessageShape<Methods[Name]['output']>
  >;
};

/**
 * The method table of a service, keyed by local (lowerCamel) method name. A serializer passes a `Uint8Array` through
 * untouched, so that a message broadcast to many peers is encoded once by its sender.
 */
export function grpcMethods<Methods extends GenServiceMethods>(service: GenService<Methods>): GrpcMethods<Methods> {
  const table: Record<string, GrpcMethod<never, never>> = {};
  for (const method of service.methods) table[method.localName] = grpcMethod(method);
  return table as unknown as GrpcMethods<Methods>;
}

function grpcMethod(method: DescMethod): GrpcMethod<never, never> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
    responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
    requestSerialize: encoder(method.input),
    requestDeserialize: decoder(method.input),
    responseSerialize: encoder(method.output),
    responseDeserialize: decoder(method.output),
    originalName: method.localName,
  };
}

function encoder(schema: DescMessage) {
  return (value: Message | Uint8Array) => {
    const bytes = value instanceof Uint8Array ? value : toBinary(schema, value);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

function decoder(schema: DescMessage) {
  return (bytes: Buffer) => fromBinary(schema, bytes) as never;
}
