// Why a bundle was kept out. The code travels to the hub as the NACK and into the fleet view; the step names the check
// in `bundle verify` reports. Every refusal leaves what ran before untouched.

import { WeirError, type ErrorCode } from '../errors/weir-error.ts';

export const NACK_CODES = [
  'bad_envelope',
  'bad_signature',
  'unknown_key',
  'revoked_key',
  'wrong_workspace',
  'wrong_audience',
  'expired',
  'not_yet_valid',
  'rollback',
  'engine_too_old',
  'bad_manifest',
  'wrong_bundle',
  'missing_layer',
  'bad_layer_digest',
  'oversized_layer',
  'bad_layer',
  'fetch_failed',
  'disk_failed',
  'compile_failed',
  'selftest_failed',
  'prepare_failed',
] as const;
export type NackCode = (typeof NACK_CODES)[number];

/** The checks in the order in which they run; a report lists the ones that passed. */
export const VERIFY_STEPS = [
  'size',
  'envelope',
  'key',
  'signature',
  'statement',
  'manifest',
  'engine',
  'audience',
  'validity',
  'rollback',
  'layers',
] as const;
export type VerifyStep = (typeof VERIFY_STEPS)[number];

const ERROR_CODE_OF: Readonly<Record<NackCode, ErrorCode>> = {
  bad_envelope: 'untrusted',
  bad_signature: 'untrusted',
  unknown_key: 'untrusted',
  revoked_key: 'untrusted',
  wrong_workspace: 'untrusted',
  wrong_audience: 'untrusted',
  expired: 'untrusted',
  not_yet_valid: 'untrusted',
  rollback: 'untrusted',
  bad_manifest: 'untrusted',
  wrong_bundle: 'untrusted',
  bad_layer: 'untrusted',
  bad_layer_digest: 'integrity',
  oversized_layer: 'too_large',
  engine_too_old: 'unsupported',
  missing_layer: 'unavailable',
  fetch_failed: 'unavailable',
  disk_failed: 'internal',
  compile_failed: 'engine_failed',
  selftest_failed: 'engine_failed',
  prepare_failed: 'engine_failed',
};

export interface RefusalOptions {
  readonly step?: VerifyStep;
  readonly cause?: unknown;
  /** The same offer may succeed later without anyone changing it (a network or disk that comes back). */
  readonly retry?: boolean;
}

export class BundleRefused extends WeirError {
  readonly nack: NackCode;
  readonly step: VerifyStep | '';

  constructor(nack: NackCode, message: string, options: RefusalOptions = {}) {
    super(ERROR_CODE_OF[nack], message, {
      retry: options.retry === true ? 'later' : 'never',
      detail: { nack, ...(options.step === undefined ? {} : { step: options.step }) },
      ...(options.cause === undefined ? {} : { cause: options.cause }),
    });
    this.name = 'BundleRefused';
    this.nack = nack;
    this.step = options.step ?? '';
  }
}
