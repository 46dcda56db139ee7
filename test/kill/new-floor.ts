// A floor that differs from the shipped one in what its refusals say, so that clients see which of the two judged them.

import { selectFloorFiles } from '@weir/hub/floor/source-tree.ts';
import { sourceFiles, type Console } from '../federation/local-federation.ts';

const CATALOGUE = 'catalogue/en.json';

/** Publishes the shipped floor with a mark in every text. Returns its version; rejects when the hub goes away meanwhile. */
export async function publishMarkedFloor(console: Console, mark: string): Promise<number> {
  const files = selectFloorFiles(sourceFiles('policies')).map(({ path, content }) => ({
    path,
    content: new Uint8Array(path === CATALOGUE ? marked(content, mark) : content),
  }));
  const answer = await console.policy.publishFloor({ files, note: mark, dryRun: false });
  if (!answer.published) throw new Error(`the marked floor was refused: ${JSON.stringify(answer.findings)}`);
  return Number(answer.floorVersion);
}

function marked(catalogue: Uint8Array, mark: string): Buffer {
  const texts = JSON.parse(Buffer.from(catalogue).toString('utf8')) as Record<
    string,
    { title: string; detail: string }
  >;
  const changed = Object.entries(texts).map(([code, text]) => [code, { ...text, detail: `${text.detail} (${mark})` }]);
  return Buffer.from(JSON.stringify(Object.fromEntries(changed)));
}
