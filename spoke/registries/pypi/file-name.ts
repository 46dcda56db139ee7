// What a distribution's file name says: its kind and its version, by the rules of PEP 427 (wheels) and PEP 625 (source
// archives) and by the older habits that indexes still list. Reads the name as installers do, so that what is judged is
// what they would install.

import { normalVersion, parseVersion } from '../../versions/pep440.ts';
import { normalProject } from './names.ts';

export interface FileName {
  /** `installer` covers exe, msi, rpm and the like, which neither pip nor uv installs. */
  readonly kind: 'wheel' | 'sdist' | 'egg' | 'installer' | 'other';
  /** In normal form; '' when the name does not tell, or tells of another project. */
  readonly version: string;
}

const SDIST_EXTENSIONS = [
  '.tar.gz',
  '.zip',
  '.tar.bz2',
  '.tar.xz',
  '.tgz',
  '.tar.lzma',
  '.tar.Z',
  '.tbz',
  '.txz',
  '.tar',
];
const INSTALLER_EXTENSIONS = ['.exe', '.msi', '.rpm', '.deb', '.dmg'];
/** What built archives other than wheels append to the version. */
const PLATFORM_SUFFIX =
  /[.-](?:win32|win-amd64|win-arm64|linux-[a-z0-9_]+|macosx-[a-z0-9_.-]+|noarch|src)(?:-py[0-9.]+)?$/;
/** name-version-release: the packager's own count, no part of the version. */
const RPM_RELEASE = /-[0-9]+$/;

/** @param project the project's normal name, as in the address of its index page. */
export function readFileName(file: string, project: string): FileName {
  if (file.endsWith('.whl')) return { kind: 'wheel', version: wheelVersion(file.slice(0, -4), project) };
  if (file.endsWith('.egg')) return { kind: 'egg', version: eggVersion(file.slice(0, -4), project) };
  for (const extension of INSTALLER_EXTENSIONS) {
    if (file.endsWith(extension)) {
      const whole = file.slice(0, -extension.length).replace(PLATFORM_SUFFIX, '');
      const stem = extension === '.rpm' ? whole.replace(RPM_RELEASE, '') : whole;
      return { kind: 'installer', version: versionAfterName(stem, project) };
    }
  }
  for (const extension of SDIST_EXTENSIONS) {
    if (file.endsWith(extension)) {
      return { kind: 'sdist', version: versionAfterName(file.slice(0, -extension.length), project) };
    }
  }
  return { kind: 'other', version: '' };
}

/** name-version[-build]-python-abi-platform; older escaping wrote '-' of a version as '_'. */
function wheelVersion(stem: string, project: string): string {
  const parts = stem.split('-');
  if (parts.length !== 5 && parts.length !== 6) return '';
  const [name = '', version = '', build = ''] = parts;
  if (parts.length === 6 && !/^[0-9]/.test(build)) return '';
  if (normalProject(name) !== project) return '';
  return normalText(version.replaceAll('_', '-'));
}

/** name-version[-pyX.Y[-platform]] with '-' inside name and version written as '_'. */
function eggVersion(stem: string, project: string): string {
  const [name = '', version = ''] = stem.split('-');
  return normalProject(name) === project ? normalText(version.replaceAll('_', '-')) : '';
}

/**
 * Both halves of `name-version` may hold dashes. The project is known, so the name ends at the first dash before which
 * the text is this project's name; what follows must be a version as a whole.
 */
function versionAfterName(stem: string, project: string): string {
  for (let dash = stem.indexOf('-'); dash !== -1; dash = stem.indexOf('-', dash + 1)) {
    if (normalProject(stem.slice(0, dash)) === project) return normalText(stem.slice(dash + 1));
  }
  return '';
}

function normalText(text: string): string {
  const version = parseVersion(text);
  return version === undefined ? '' : normalVersion(version);
}
