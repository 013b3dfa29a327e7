import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { BROWSER_PATIENCE_MS, findBrowser, startBrowser } from '../harness/browser.ts';
import { startMesh, type TestMesh } from '../harness/mesh.ts';

const MODEL = 'org/greeter';
const program = findBrowser();

// In a real browser: what the pages load, whether their policy lets them work, and whether a chat can be sent from one.
describe.skipIf(program === undefined)('the pages of the documentation', () => {
  let engine: FakeEngine;
  let mesh: TestMesh;
  let browser: Browser;
  let page: Page;
  /** Requests to elsewhere, and what the browser complained of. */
  let wrong: string[];

  beforeAll(async () => {
    engine = await startFakeEngine({ models: [MODEL], texts: ['Good', ' morning', ' to', ' you.'], tokens: 4 });
    const models = [{ name: 'chat', engine: 'openai', base_url: engine.baseUrl, model: MODEL, required: true }];
    [mesh, browser] = await Promise.all([
      startMesh('one process', { config: { inference: { models } } }),
      startBrowser(program ?? ''),
    ]);
  });
  afterAll(async () => {
    await browser?.close();
    await mesh?.stop();
    await engine?.stop();
  });

  beforeEach(async () => {
    page = await browser.newPage();
    page.setDefaultTimeout(BROWSER_PATIENCE_MS);
    wrong = [];
    page.on('request', (request) => {
      const url = request.url();
      const { origin } = new URL(url.replace(/^blob:/, ''));
      if (origin !== mesh.url && !url.startsWith('data:')) wrong.push(`asked for ${url}`);
    });
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().includes('401')) wrong.push(message.text());
    });
    page.on('pageerror', (error) => wrong.push(error.message));
  });
  afterEach(() => page.close());

  test('/docs sends a chat for whoever has a key', async () => {
    await page.goto(`${mesh.url}/docs`);
    const chat = page.locator('#operations-OpenAI-postV1ChatCompletions');
    await chat.locator('.opblock-summary').click();
    await chat.getByRole('button', { name: 'Execute' }).click();
    const answer = chat.locator('.live-responses-table .response');
    await answer.getByText('Invalid API key').first().waitFor();

    await page.locator('.scheme-container .authorize').click();
    const credential = page.locator('.auth-container', { hasText: 'bearer' });
    await credential.getByRole('textbox').first().fill(mesh.adminKey);
    await credential.getByRole('button', { name: 'Apply credentials' }).first().click();
    await page.locator('.modal-ux .btn-done').first().click();

    await chat.getByRole('button', { name: 'Execute' }).click();
    await answer.getByText('Good morning to you.').first().waitFor();
    expect(await answer.locator('.response-col_status').first().innerText()).toMatch(/^200/);
    expect(wrong).toEqual([]);
  });

  test('/redoc shows every endpoint', async () => {
    const document = (await (await fetch(`${mesh.url}/openapi.json`)).json()) as { paths: object };
    await page.goto(`${mesh.url}/redoc`);
    await page.getByRole('heading', { name: /Inference mesh/ }).waitFor();
    const summaries = Object.values(document.paths).flatMap((path: object) =>
      Object.values(path).map((operation) => operation.summary as string),
    );
    expect(summaries.length).toBeGreaterThan(10);
    await page.locator('h2', { hasText: summaries.at(-1) ?? '' }).waitFor();
    const headings = (await page.locator('h2').allInnerTexts()).map((heading) => heading.trim());
    expect(headings).toEqual(expect.arrayContaining(summaries));
    expect(wrong).toEqual([]);
  });

  test('its search finds', async () => {
    await page.goto(`${mesh.url}/redoc`);
    await page.getByPlaceholder('Search...').fill('conversation');
    await page.locator('[data-role="search:results"]').getByText('Answer a conversation').waitFor();
    expect(wrong).toEqual([]);
  });

  test.each(['/docs', '/redoc'])('%s cannot ask elsewhere without this test noticing', async (path) => {
    await page.goto(mesh.url + path);
    const asked = page.evaluate(() => fetch('http://127.0.0.1:1/'));
    await expect(asked).rejects.toThrow(/Failed to fetch/);
    await expect.poll(() => wrong.join('\n')).toContain('Content Security Policy');
    expect(wrong[0]).toContain('127.0.0.1:1');
  });
});
