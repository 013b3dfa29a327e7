import { spawnSync } from 'node:child_process';
import { type Browser, chromium } from 'playwright-core';

/** Names under which distributions install it. */
const PROGRAMS = ['chromium', 'chromium-browser', 'google-chrome'];

/** For a browser that starts cold, and for a page of two megabytes of script, on a machine that does other work too. */
export const BROWSER_PATIENCE_MS = 90_000;

/** Where the browser is. Says so where there is none: tests that need one are skipped then, in CI that is an error. */
export function findBrowser(): string | undefined {
  for (const program of PROGRAMS) {
    const { status, stdout } = spawnSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' });
    if (status === 0) return stdout.trim();
  }
  if (process.env.CI) throw new Error('chromium is missing; CI must install it');
  console.log('skipped: the tests in a browser need Chromium (Debian: chromium)');
  return undefined;
}

/** Starts the browser without a window. It asks nobody on the network for anything by itself. */
export function startBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    timeout: BROWSER_PATIENCE_MS,
    // Root in a container has no user namespaces to make a sandbox with; the pages are our own.
    chromiumSandbox: process.getuid?.() !== 0,
    args: [
      ...['--disable-dev-shm-usage', '--disable-component-update', '--disable-background-networking'],
      // What asks for anything else asks in vain, and is noticed.
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
    ],
  });
}
