import { expect, test } from 'vitest';
import { describeStores } from '../../../test/harness/stores.ts';
import { redisScript, runScript } from '../../shared/store/redis-script.ts';
import { BUDGET_LUA } from './redis-budget.ts';

const DAY_MS = 86_400_000;
const DAYS = Math.floor(Date.UTC(2110, 0) / DAY_MS);

/** Months of all days, then when each month begins. */
const CALENDAR = redisScript(`${BUDGET_LUA}
local months, begins = {}, {}
for day = 0, tonumber(ARGV[1]) do
  months[#months + 1] = month_at(day * DAY_MS)
  months[#months + 1] = month_at((day + 1) * DAY_MS - 1)
end
for month = months[1], months[#months] do begins[#begins + 1] = month_begins(month) end
return { months, begins }`);

describeStores('the calendar of the Lua scripts', (stores) => {
  test.runIf(stores.kind === 'redis')('is that of Date, from 1970 to 2110', async () => {
    const store = await stores.open();
    if (store.kind !== 'redis') return;
    const [months, begins] = (await runScript(store, CALENDAR, ['{t}'], [DAYS])) as [number[], number[]];
    const expected = Array.from({ length: DAYS + 1 }, (_, day) => {
      const date = new Date(day * DAY_MS);
      const month = date.getUTCFullYear() * 12 + date.getUTCMonth();
      return [month, month];
    });
    expect(months).toEqual(expected.flat());
    const first = months[0] ?? 0;
    expect(begins).toEqual(begins.map((_, i) => Date.UTC(Math.floor((first + i) / 12), (first + i) % 12)));
  });
});
