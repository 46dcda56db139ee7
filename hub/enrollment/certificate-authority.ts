// The hub's own certificate authority: makes itself once, then signs short certificates for spokes and for the hub's
// ports. Nothing a certificate request says is taken over but its public key.

import 'reflect-metadata';
import { createPrivateKey, createPublicKey, hash, webcrypto, X509Certificate as NodeCertificate } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  type Extension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import { hubId, readSpokeId, spokeId, type SpokeName } from './spiffe-id.ts';

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const CA_YEARS = 10;
/** Clocks of spokes may lag this far behind the hub's. */
const BACKDATE_MS = 60_000;
export const CSR_BYTES_MAX = 4096;

cryptoProvider.set(webcrypto as never);

/** A key and the certificates that speak for it, leaf first, all PEM. */
export interface KeyAndChain {
  readonly key: string;
  readonly chain: string;
}

export interface IssuedCertificate {
  /** Leaf, then the CA: PEM. */
  readonly chain: string;
  /** Lower-case hex. */
  readonly serial: string;
  readonly notAfterMs: number;
}

/** What a spoke's certificate says, once its signature has been verified. */
export interface SpokeCertificate extends SpokeName {
  readonly serial: string;
  readonly notAfterMs: number;
}

export interface CertificateAuthority {
  /** PEM. */
  readonly certificate: string;
  /** `sha256:` and the hash of its SubjectPublicKeyInfo: what a spoke pins. */
  readonly pin: string;
  /** @throws WeirError `invalid_argument` unless the request is DER PKCS#10 signed by the P-256 key that it carries */
  issueSpoke(
    name: SpokeName,
    csr: Uint8Array,
    validity: { readonly fromMs: number; readonly ttlMs: number },
  ): Promise<IssuedCertificate>;
  /** A new key and certificate for the hub's ports. */
  issueHub(
    names: readonly string[],
    validity: { readonly fromMs: number; readonly ttlMs: number },
  ): Promise<KeyAndChain>;
  /**
   * Reads a presented certificate: undefined unless this CA signed it (checked here, whatever TLS said) and it names
   * exactly one spoke and nothing else. Expiry is the caller's to judge.
   */
  readSpokeCertificate(der: Uint8Array): SpokeCertificate | undefined;
}

/** A new CA for a workspace: key PKCS#8 PEM, self-signed certificate PEM. */
export async function makeAuthority(workspace: string, atMs: number, random: Random): Promise<KeyAndChain> {
  const keys = await generateKeys();
  const name = `CN=Weir CA ${workspace}`;
  const certificate = await X509CertificateGenerator.create({
    serialNumber: newSerial(random),
    subject: name,
    issuer: name,
    notBefore: new Date(atMs - BACKDATE_MS),
    notAfter: new Date(atMs + CA_YEARS * 365 * 86_400_000),
    signingKey: keys.privateKey,
    publicKey: keys.publicKey,
    signingAlgorithm: EC,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { key: await privatePem(keys.privateKey), chain: pem(certificate) };
}

/** @throws WeirError `corrupt` when the key and the certificate do not belong together */
export async function openAuthority(workspace: string, ca: KeyAndChain, random: Random): Promise<CertificateAuthority> {
  const checked = new NodeCertificate(ca.chain);
  const privateKey = createPrivateKey(ca.key);
  if (!checked.ca || !checked.checkPrivateKey(privateKey)) {
    throw new WeirError('corrupt', "the hub's CA key and certificate do not belong together", {
      next: 'restore both files from the same backup',
    });
  }
  const certificate = new X509Certificate(ca.chain);
  const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' });
  const signingKey = await webcrypto.subtle.importKey('pkcs8', new Uint8Array(pkcs8), EC, false, ['sign']);
  const spki = checked.publicKey.export({ format: 'der', type: 'spki' });

  async function issue(
    publicKey: webcrypto.CryptoKey,
    subject: string,
    names: readonly JsonGeneralName[],
    validity: { readonly fromMs: number; readonly ttlMs: number },
  ): Promise<IssuedCertificate> {
    const serial = newSerial(random);
    const notAfterMs = Math.min(
      Math.floor((validity.fromMs + validity.ttlMs) / 1000) * 1000,
      Date.parse(checked.validTo),
    );
    const extensions: Extension[] = [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth, ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension([...names]),
      await SubjectKeyIdentifierExtension.create(publicKey),
      await AuthorityKeyIdentifierExtension.create(certificate.publicKey),
    ];
    const leaf = await X509CertificateGenerator.create({
      serialNumber: serial,
      subject,
      issuer: certificate.subject,
      notBefore: new Date(validity.fromMs - BACKDATE_MS),
      notAfter: new Date(notAfterMs),
      signingKey,
      publicKey,
      signingAlgorithm: EC,
      extensions,
    });
    return { chain: pem(leaf) + pem(certificate), serial, notAfterMs };
  }

  return {
    certificate: pem(certificate),
    pin: `sha256:${hash('sha256', spki, 'hex')}`,
    async issueSpoke(name, csr, validity) {
      const publicKey = await provenKey(csr);
      return issue(publicKey, `CN=${name.spoke}`, [{ type: 'url', value: spokeId(name) }], validity);
    },
    async issueHub(names, validity) {
      const keys = await generateKeys();
      const alternatives: JsonGeneralName[] = [
        { type: 'url', value: hubId(workspace) },
        ...names.map((name) => ({ type: isAddress(name) ? ('ip' as const) : ('dns' as const), value: name })),
      ];
      const { chain } = await issue(keys.publicKey, 'CN=weir-hub', alternatives, validity);
      return { key: await privatePem(keys.privateKey), chain };
    },
    readSpokeCertificate(der) {
      try {
        const leaf = new NodeCertificate(Buffer.from(der.buffer, der.byteOffset, der.byteLength));
        if (leaf.ca || !leaf.checkIssued(checked) || !leaf.verify(checked.publicKey)) return undefined;
        const names =
          new X509Certificate(new Uint8Array(der)).getExtension(SubjectAlternativeNameExtension)?.names.items ?? [];
        const [only] = names;
        if (names.length !== 1 || only?.type !== 'url') return undefined;
        const name = readSpokeId(only.value);
        if (name?.workspace !== workspace) return undefined;
        return { ...name, serial: leaf.serialNumber.toLowerCase(), notAfterMs: Date.parse(leaf.validTo) };
      } catch {
        // Bytes that are no certificate name nobody.
        return undefined;
      }
    },
  };
}

async function provenKey(csr: Uint8Array): Promise<webcrypto.CryptoKey> {
  if (csr.byteLength === 0 || csr.byteLength > CSR_BYTES_MAX) throw refuse(`is not 1 to ${CSR_BYTES_MAX} bytes`);
  try {
    const request = new Pkcs10CertificateRequest(new Uint8Array(csr));
    const spki = new Uint8Array(request.publicKey.rawData);
    const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey({
      key: Buffer.from(spki),
      format: 'der',
      type: 'spki',
    });
    if (asymmetricKeyType !== 'ec' || asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
      throw refuse('is not for a P-256 key');
    }
    if (!(await request.verify())) throw refuse('does not prove possession of its key');
    return await webcrypto.subtle.importKey('spki', spki, EC, true, ['verify']);
  } catch (thrown) {
    throw thrown instanceof WeirError ? thrown : refuse('cannot be read', thrown);
  }
}

function refuse(why: string, cause?: unknown): WeirError {
  return new WeirError('invalid_argument', `the certificate request ${why}`, cause === undefined ? {} : { cause });
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(EC, true, ['sign', 'verify']);
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' });
}

/** 120 bits; the first byte is 0x40 to 0x7f, so that the number is positive and its hex has one form. */
function newSerial(random: Random): string {
  const bytes = Buffer.from(random.bytes(15));
  bytes[0] = (bytes.readUInt8(0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function pem(certificate: X509Certificate): string {
  return `${certificate.toString('pem').trim()}\n`;
}

function isAddress(name: string): boolean {
  return /^\d{1,3}(?:\.\d{1,3}){3}$/.test(name) || name.includes(':');
}
