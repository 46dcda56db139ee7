// Describes a small Python distribution and builds it: a valid wheel or source archive that pip and uv install.

import { createHash } from 'node:crypto';
import { packTarball, packZip } from './archives.ts';

export interface PythonRelease {
  /** As its authors spell it. */
  readonly name: string;
  readonly version: string;
  /** RFC 3339. */
  readonly publishedAt: string;
  /** Default: both. */
  readonly formats?: readonly ('wheel' | 'sdist')[];
  readonly license?: string;
  readonly requires?: readonly string[];
  readonly requiresPython?: string;
  /** The yank reason, '' for none given; absent when not yanked. */
  readonly yanked?: string;
  /** Pretend that the index holds a provenance document for every file. */
  readonly attested?: boolean;
  /** Bytes of ballast in the wheel, for tests about size. */
  readonly ballastBytes?: number;
}

export interface BuiltDistribution {
  readonly source: PythonRelease;
  readonly file: string;
  readonly bytes: Buffer;
  readonly sha256: string;
  /** The core metadata; served beside the file. */
  readonly metadata: Buffer;
  readonly metadataSha256: string;
}

export async function buildDistributions(source: PythonRelease): Promise<readonly BuiltDistribution[]> {
  const formats = source.formats ?? ['wheel', 'sdist'];
  return Promise.all(formats.map((format) => (format === 'wheel' ? buildWheel(source) : buildSdist(source))));
}

/** PEP 503. */
export function normalProjectName(name: string): string {
  return name.toLowerCase().replaceAll(/[-_.]+/g, '-');
}

async function buildWheel(source: PythonRelease): Promise<BuiltDistribution> {
  const module = normalProjectName(source.name).replaceAll('-', '_');
  const info = `${module}-${source.version}.dist-info`;
  const metadata = coreMetadata(source);
  const files: Record<string, string | Uint8Array> = {
    [`${module}/__init__.py`]: `VERSION = ${JSON.stringify(source.version)}\n`,
    ...(source.ballastBytes === undefined ? {} : { [`${module}/ballast.bin`]: ballast(source.ballastBytes) }),
    [`${info}/METADATA`]: metadata,
    [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: weir-tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
  };
  const record = Object.entries(files).map(([path, content]) => {
    const bytes = Buffer.from(content);
    return `${path},sha256=${createHash('sha256').update(bytes).digest('base64url')},${bytes.length}`;
  });
  files[`${info}/RECORD`] = `${record.join('\n')}\n${info}/RECORD,,\n`;
  return built(source, `${module}-${source.version}-py3-none-any.whl`, packZip(files), metadata);
}

/** A build with an in-tree backend, so that building it needs nothing from any index. */
async function buildSdist(source: PythonRelease): Promise<BuiltDistribution> {
  const module = normalProjectName(source.name).replaceAll('-', '_');
  const metadata = coreMetadata(source);
  const wheel = await buildWheel(source);
  const bytes = await packTarball(
    {
      'PKG-INFO': metadata,
      'pyproject.toml': '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
      'backend.py': [
        'import base64, os',
        `WHEEL = base64.b64decode(${JSON.stringify(wheel.bytes.toString('base64'))})`,
        'def build_wheel(directory, config_settings=None, metadata_directory=None):',
        `    name = ${JSON.stringify(wheel.file)}`,
        '    with open(os.path.join(directory, name), "wb") as out:',
        '        out.write(WHEEL)',
        '    return name',
        '',
      ].join('\n'),
    },
    `${module}-${source.version}`,
  );
  return built(source, `${module}-${source.version}.tar.gz`, bytes, metadata);
}

function coreMetadata(source: PythonRelease): string {
  return [
    'Metadata-Version: 2.1',
    `Name: ${source.name}`,
    `Version: ${source.version}`,
    'Summary: A sample package',
    ...(source.license === undefined ? [] : [`License: ${source.license}`]),
    ...(source.requiresPython === undefined ? [] : [`Requires-Python: ${source.requiresPython}`]),
    ...(source.requires ?? []).map((requirement) => `Requires-Dist: ${requirement}`),
    '',
  ].join('\n');
}

function built(source: PythonRelease, file: string, bytes: Buffer, metadata: string): BuiltDistribution {
  return {
    source,
    file,
    bytes,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    metadata: Buffer.from(metadata),
    metadataSha256: createHash('sha256').update(metadata).digest('hex'),
  };
}

/** Bytes that hardly compress, the same every time. */
function ballast(length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0; i * 64 < length; i += 1) blocks.push(createHash('sha512').update(`ballast ${i}`).digest());
  return Buffer.concat(blocks).subarray(0, length);
}
