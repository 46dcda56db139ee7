// Names of packages and of their versions. Identifiers are opaque: each registry's adapter normalises them once,
// by that registry's own rule, and from then on they are compared byte for byte.

/** purl type of a registry dialect; the list grows with `spoke/registries`. */
export type Ecosystem = 'npm' | 'pypi';

/** A package without a version. `namespace` is '' when the ecosystem has none; npm scopes keep their '@'. */
export interface PackageName {
  readonly ecosystem: Ecosystem;
  readonly namespace: string;
  readonly name: string;
}

/** One version of one package. */
export interface Coordinate extends PackageName {
  readonly version: string;
}

/** The name as its users write it: `@scope/name` or `name`. */
export function fullName(name: PackageName): string {
  return name.namespace === '' ? name.name : `${name.namespace}/${name.name}`;
}

/** Package URL (purl-spec) with or without version; segments are percent-encoded, '@' of a scope as %40. */
export function purl(subject: PackageName | Coordinate): string {
  const namespace = subject.namespace === '' ? '' : `${encodeSegment(subject.namespace)}/`;
  const version = 'version' in subject && subject.version !== '' ? `@${encodeSegment(subject.version)}` : '';
  return `pkg:${subject.ecosystem}/${namespace}${encodeSegment(subject.name)}${version}`;
}

/** Reads `pkg:type/[namespace/]name[@version]`; undefined for anything else, including qualifiers and subpaths. */
export function parsePurl(text: string): (PackageName & { readonly version: string }) | undefined {
  const match = /^pkg:(npm|pypi)\/(?:([^/?#@]+)\/)?([^/?#@]+)(?:@([^/?#@]+))?$/.exec(text);
  if (match === null) return undefined;
  const [, ecosystem, namespace, name, version] = match;
  try {
    return {
      ecosystem: ecosystem as Ecosystem,
      namespace: decodeURIComponent(namespace ?? ''),
      name: decodeURIComponent(name ?? ''),
      version: decodeURIComponent(version ?? ''),
    };
  } catch {
    return undefined;
  }
}

function encodeSegment(segment: string): string {
  return encodeURIComponent(segment).replaceAll('%3A', ':').replaceAll('!', '%21');
}
