/** What `toril doctor` has looked at, and what it thinks of it. */
export interface Finding {
  readonly check: string;
  /** `bad`: something does not work, or may lose what it must keep; `unsure`: it may be meant so. */
  readonly verdict: 'good' | 'unsure' | 'bad';
  readonly says: string;
  /** What to do; empty if it is good. */
  readonly advice: string;
}

export function good(check: string, says: string): Finding {
  return { check, verdict: 'good', says, advice: '' };
}

export function unsure(check: string, says: string, advice: string): Finding {
  return { check, verdict: 'unsure', says, advice };
}

export function bad(check: string, says: string, advice: string): Finding {
  return { check, verdict: 'bad', says, advice };
}
