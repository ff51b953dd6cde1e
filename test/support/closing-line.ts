import type { Reporter, TestModule } from 'vitest/node';

/** The last line of `npm test`: `N passed, N failed, N skipped`, which continuous integration reads. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap(({ children }) => [...children.allTests()]);
    const count = (state: string): number =>
      tests.filter((test) => test.result().state === state).length;
    const failed = count('failed') + modules.filter(failedAsAWhole).length;
    console.log(`${count('passed')} passed, ${failed} failed, ${count('skipped')} skipped`);
  }
}

/** A file that cannot be loaded, or that left something open, failed although none of its tests did. */
function failedAsAWhole(module: TestModule): boolean {
  const tests = [...module.children.allTests()];
  return module.state() === 'failed' && tests.every((test) => test.result().state !== 'failed');
}
