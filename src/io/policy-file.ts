/** The operator's policy file (C2SP tlog-policy). */
import { readFile } from 'node:fs/promises';
import { MalformedError, UsageError } from '../core/errors.ts';
import { fileTrouble } from '../core/file-trouble.ts';
import { type Policy, parsePolicy } from '../core/tlog-policy.ts';

/** @throws UsageError naming the file, and the line that is wrong */
export async function readPolicyFile(path: string): Promise<Policy> {
  const content = await readFile(path, 'utf8').catch((cause: Error) => {
    throw new UsageError(`can't read the policy file ${path}: ${fileTrouble(cause)}`, { cause });
  });
  try {
    return checkUrls(parsePolicy(content));
  } catch (cause) {
    if (!(cause instanceof MalformedError)) throw cause;
    const line = cause.line === null ? '' : `, line ${cause.line}`;
    throw new UsageError(`the policy file ${path}${line}: ${cause.reason}`, { cause });
  }
}

/** The format leaves URLs to whoever uses them. */
function checkUrls(policy: Policy): Policy {
  for (const { name, url } of policy.witnesses) {
    if (url === null || /^https?:$/.test(URL.parse(url)?.protocol ?? '')) continue;
    throw new MalformedError('tlog-policy', `the URL of the witness ${name} is not http or https: ${url}`);
  }
  return policy;
}
