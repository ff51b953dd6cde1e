import type { StandardSchemaV1 } from '@standard-schema/spec';

/** What a Standard Schema finds wrong, for an error message: "cents: expected number; account: required". */
export function issuesText(issues: readonly StandardSchemaV1.Issue[]): string {
  const texts = issues.map(({ message, path }) => {
    const where = path?.map((step) => String(typeof step === 'object' ? step.key : step)).join('.');
    return where === undefined || where === '' ? message : `${where}: ${message}`;
  });
  return texts.join('; ');
}
