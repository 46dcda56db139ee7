// The envelope: a DSSE signature over the statement inside a Sigstore bundle v0.3, as canonical JSON. One byte form only:
// whatever is not the canonical encoding of exactly these fields is refused before any signature is looked at.

import { z } from 'zod';
import { canonicalJson } from '../crypto/canonical-json.ts';
import { BUNDLE_LIMITS, PAYLOAD_TYPE } from './manifest.ts';
import { BundleRefused } from './refusal.ts';

export const ENVELOPE_MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

// Certificates, log entries and timestamps have no place here yet: material that this verifier would not check must not
// look as if it had been checked.
const envelopeSchema = z.strictObject({
  mediaType: z.literal(ENVELOPE_MEDIA_TYPE),
  verificationMaterial: z.strictObject({
    publicKey: z.strictObject({ hint: z.string().min(1).max(64) }),
    tlogEntries: z.array(z.never()).max(0).optional(),
    timestampVerificationData: z.strictObject({}).optional(),
  }),
  dsseEnvelope: z.strictObject({
    payload: z.string().max(2 * BUNDLE_LIMITS.manifestBytes),
    payloadType: z.literal(PAYLOAD_TYPE),
    signatures: z
      .array(z.strictObject({ sig: z.string().min(1).max(200), keyid: z.string().max(64).optional() }))
      .length(1),
  }),
});

export interface Envelope {
  /** The parsed JSON, for the signature library. */
  readonly json: unknown;
  /** Statement bytes. */
  readonly payload: Uint8Array;
  /** Key id that the signer names. */
  readonly hint: string;
}

/** Reads envelope bytes; throws `BundleRefused` with `bad_envelope`. Nothing in the result has been authenticated. */
export function readEnvelope(bytes: Uint8Array): Envelope {
  if (bytes.byteLength > BUNDLE_LIMITS.envelopeBytes) {
    throw new BundleRefused('bad_envelope', 'the signature file is too large', { step: 'size' });
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    const envelope = envelopeSchema.parse(JSON.parse(text));
    if (canonicalJson(envelope) !== text) throw new Error('it is not in canonical form');
    const hint = envelope.verificationMaterial.publicKey.hint;
    const [signature] = envelope.dsseEnvelope.signatures;
    if (signature?.keyid !== undefined && signature.keyid !== '' && signature.keyid !== hint) {
      throw new Error('it names two keys');
    }
    decodeBase64(signature?.sig ?? '');
    const payload = decodeBase64(envelope.dsseEnvelope.payload);
    if (payload.byteLength > BUNDLE_LIMITS.manifestBytes) throw new Error('its statement is too large');
    return { json: envelope, payload, hint };
  } catch (thrown) {
    throw new BundleRefused('bad_envelope', 'the signature file is not a weir bundle envelope', {
      step: 'envelope',
      cause: thrown,
    });
  }
}

/** Standard base64 with padding and zero spare bits; anything else is refused, so that one value has one spelling. */
function decodeBase64(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length === 0 || bytes.toString('base64') !== text) throw new Error('a field is not canonical base64');
  return bytes;
}
