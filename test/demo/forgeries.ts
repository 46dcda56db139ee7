import type { Stage } from './stage.ts';
export async function offerForgeries(stage: Stage): Promise<void> {
  await Promise.resolve(stage);
  throw new Error('not yet');
}
