// A service together with its handlers: what the servers in hub/io take.

import type { GenService, GenServiceMethods } from '@bufbuild/protobuf/codegenv2';
import type { MachineContext, MachineHandlers, OperatorContext, OperatorHandlers } from './handler.ts';

/** Any handler of any service, as a server calls it. */
export type AnyHandler<Context> = (input: unknown, context: Context) => unknown;

export interface MachineService {
  readonly service: GenService<GenServiceMethods>;
  readonly handlers: Readonly<Record<string, AnyHandler<MachineContext>>>;
  /** Methods served without a certificate, on the join port. */
  readonly open: readonly string[];
  /** Methods that a certificate in its grace may still call. */
  readonly grace: readonly string[];
}

export interface OperatorService {
  readonly service: GenService<GenServiceMethods>;
  readonly handlers: Readonly<Record<string, AnyHandler<OperatorContext>>>;
}

/** A service of the federation port; `open` and `grace` name methods, none by default. */
export function forMachines<Methods extends GenServiceMethods>(
  service: GenService<Methods>,
  handlers: MachineHandlers<GenService<Methods>>,
  rules: {
    readonly open?: readonly (keyof Methods & string)[];
    readonly grace?: readonly (keyof Methods & string)[];
  } = {},
): MachineService {
  return {
    service,
    handlers: handlers as unknown as MachineService['handlers'],
    open: rules.open ?? [],
    grace: rules.grace ?? [],
  };
}

/** A service of the admin port. */
export function forOperators<Methods extends GenServiceMethods>(
  service: GenService<Methods>,
  handlers: OperatorHandlers<GenService<Methods>>,
): OperatorService {
  return { service, handlers: handlers as unknown as OperatorService['handlers'] };
}
