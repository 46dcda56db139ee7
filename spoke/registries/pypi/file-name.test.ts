import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFileName } from './file-name.ts';

const CASES: readonly (readonly [file: string, project: string, kind: string, version: string])[] = [
  ['foo-1.0-py3-none-any.whl', 'foo', 'wheel', '1.0'],
  ['Foo_Bar-1.0-py3-none-any.whl', 'foo-bar', 'wheel', '1.0'],
  ['foo.bar-1.0-py3-none-any.whl', 'foo-bar', 'wheel', '1.0'],
  ['foo-1.0-2b-py3-none-any.whl', 'foo', 'wheel', '1.0'],
  ['foo-1!2.0-py3-none-any.whl', 'foo', 'wheel', '1!2.0'],
  ['foo-1.0+cpu-cp311-cp311-linux_x86_64.whl', 'foo', 'wheel', '1.0+cpu'],
  ['foo-1.0_post1-py3-none-any.whl', 'foo', 'wheel', '1.0.post1'],
  ['foo-1.0rc1-py3-none-any.whl', 'foo', 'wheel', '1.0rc1'],
  ['foo-1.0-x-py3-none-any.whl', 'foo', 'wheel', ''],
  ['foo-1.0.whl', 'foo', 'wheel', ''],
  ['other-1.0-py3-none-any.whl', 'foo', 'wheel', ''],
  ['foo-1.0.tar.gz', 'foo', 'sdist', '1.0'],
  ['foo-1.0.zip', 'foo', 'sdist', '1.0'],
  ['foo-1.0.tgz', 'foo', 'sdist', '1.0'],
  ['foo-bar-1.0.tar.bz2', 'foo-bar', 'sdist', '1.0'],
  ['foo_bar-1.0.tar.gz', 'foo-bar', 'sdist', '1.0'],
  // The project is `foo-2`: neither "2-1.0" nor "1.0 of foo" may be read out of it.
  ['foo-2-1.0.tar.gz', 'foo-2', 'sdist', '1.0'],
  ['foo-2-1.0.tar.gz', 'foo', 'sdist', ''],
  // An implicit post-release is a version, so installers read it as one.
  ['foo-2-1.tar.gz', 'foo', 'sdist', '2.post1'],
  ['foo-1.0-beta.tar.gz', 'foo', 'sdist', '1.0b0'],
  ['foo-1.0.post2.tar.gz', 'foo', 'sdist', '1.0.post2'],
  ['foo-1.0-snapshot.tar.gz', 'foo', 'sdist', ''],
  ['foo-bar-1.0.tar.gz', 'foo', 'sdist', ''],
  ['foo.tar.gz', 'foo', 'sdist', ''],
  ['foo--1.0.tar.gz', 'foo', 'sdist', ''],
  ['foo-1.0-py2.7.egg', 'foo', 'egg', '1.0'],
  ['foo_bar-1.0_1-py2.7-linux-x86_64.egg', 'foo-bar', 'egg', '1.0.post1'],
  ['foo-1.0.win32-py2.7.exe', 'foo', 'installer', '1.0'],
  ['foo-1.0.win-amd64.exe', 'foo', 'installer', '1.0'],
  ['foo-1.0.linux-x86_64.tar.gz', 'foo', 'sdist', ''],
  ['foo-1.0-1.noarch.rpm', 'foo', 'installer', '1.0'],
  ['foo-1.0.TAR.GZ', 'foo', 'other', ''],
  ['foo-1.0', 'foo', 'other', ''],
  ['', 'foo', 'other', ''],
  ['../foo-1.0.tar.gz', 'foo', 'sdist', ''],
];

for (const [file, project, kind, version] of CASES) {
  test(`${JSON.stringify(file)} of ${project} is a ${kind} of ${version === '' ? 'unknown version' : version}`, () => {
    assert.deepEqual(readFileName(file, project), { kind, version });
  });
}
