import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Arrangement } from '../harness/mesh.ts';
import { declaredMetrics } from './declared-metrics.ts';
import { alertQueries, dashboardQueries, filledIn } from './queries.ts';
import { type ScrapedMesh, startScrapedMesh } from './scraped-mesh.ts';

const START_TIMEOUT_MS = 240_000;

/** What has nothing to show in a mesh where no engine dies. */
const QUIET = new Set(['mesh_takeovers_total']);

/** What a real Prometheus has to say of a mesh. */
export function describeUnderPrometheus(arrangement: Arrangement): void {
  describe(`a mesh under Prometheus, ${arrangement}`, () => {
    let scraped: ScrapedMesh;

    beforeAll(async () => {
      scraped = await startScrapedMesh(arrangement);
    }, START_TIMEOUT_MS);
    afterAll(() => scraped?.stop());

    test('it takes what every process tells', async () => {
      const problems = await scraped.prometheus.problems();
      expect(problems.size).toBe(new Set(scraped.mesh.urls.values()).size);
      expect([...problems.values()].every((problem) => problem === '')).toBe(true);
    });

    test.runIf(arrangement === 'one process')('a port of their own tells the same, and nothing else', async () => {
      const { metricsUrl, mesh } = scraped;
      const namesAt = async (url: string) => (await (await fetch(url)).text()).match(/^# TYPE .*$/gm);
      expect(await namesAt(metricsUrl)).toEqual(await namesAt(`${mesh.url}/metrics`));
      expect((await fetch(new URL('/v1/models', metricsUrl), { headers: { 'x-api-key': mesh.adminKey } })).status).toBe(
        404,
      );
    });

    test('pages of other origins cannot read them', async () => {
      const from = { headers: { origin: 'https://elsewhere.example.com' } };
      const acao = async (path: string) =>
        (await fetch(scraped.mesh.url + path, from)).headers.get('access-control-allow-origin');
      expect([await acao('/health'), await acao('/metrics')]).toEqual(['*', null]);
    });

    test('every metric that the code declares comes with the labels that it declares', async () => {
      for (const { name, type, labels } of declaredMetrics().own) {
        if (QUIET.has(name)) continue;
        const series = await scraped.prometheus.query(type === 'histogram' ? `${name}_bucket` : name);
        expect(series.length, name).toBeGreaterThan(0);
        const expected = [...labels, ...(type === 'histogram' ? ['le'] : [])];
        for (const { labels: told } of series) {
          const { __name__: _, job: _job, instance: _instance, ...own } = told;
          // Prometheus drops labels that are empty.
          expect(expected, name).toEqual(expect.arrayContaining(Object.keys(own)));
        }
      }
    });

    test.each(dashboardQueries())('the dashboard has something to show: $where, $expr', async ({ expr }) => {
      const result = await scraped.prometheus.query(filledIn(expr));
      const isQuiet = [...QUIET].some((name) => expr.includes(name));
      if (!isQuiet) expect(result.length).toBeGreaterThan(0);
    });

    test.each(alertQueries())('the alert $where can be asked', async ({ expr }) => {
      await scraped.prometheus.query(expr);
    });

    test('what engines tell themselves is there, with whose it is', async () => {
      const [vllm] = await scraped.prometheus.query('mesh_engine_vllm_generation_tokens_total');
      expect(vllm?.labels).toMatchObject({ engine: 'chat', exported_engine: '0', model_name: 'org/chat' });
      const [llama] = await scraped.prometheus.query('mesh_engine_llamacpp_tokens_predicted_total');
      expect(llama?.labels).toMatchObject({ engine: 'words' });
      expect(llama?.value).toBeGreaterThan(0);
    });

    test('figures agree: what users used is what was generated, and each refusal was counted', async () => {
      const { query } = scraped.prometheus;
      const one = async (expr: string): Promise<number> => (await query(expr))[0]?.value ?? Number.NaN;
      expect(await one('sum(api_tokens_total{user="ann"})')).toBe(await one('sum(gen_ai_client_token_usage_sum)'));
      expect(await one('sum(mesh_generations_total{outcome="RATE_LIMIT_EXCEEDED"})')).toBe(4);
      expect(await one('sum(mesh_quota_refusals_total{unit="requests",window="minute"})')).toBe(4);
      expect(await one('sum(api_requests_total{status="429"})')).toBe(4);
      expect(await one('sum(mesh_model_engines{model="org/dead",standing="ready"})')).toBe(0);
    });
  });
}
