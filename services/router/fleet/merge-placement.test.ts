import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { ExplainPlacementResponseSchema } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { bestFirst, mergePlacements, type NodePlacement } from './merge-placement.ts';

type Init = MessageInitShape<typeof ExplainPlacementResponseSchema>;

function on(node: string, init: Init): NodePlacement {
  return { node, placement: create(ExplainPlacementResponseSchema, { fits: true, summary: 'here', ...init }) };
}
const gpu = (freeBytes: bigint, claimBytes: bigint, estimatedBytes = claimBytes): Init => ({
  estimatedBytes,
  candidates: [{ device: { index: 0 }, chosen: true, freeBytes, claimBytes }],
});
const cpu: Init = { estimatedBytes: 5n, candidates: [{ device: {}, chosen: true }] };

const order = (...placements: NodePlacement[]) => bestFirst(placements).map(({ node }) => node);

test('a GPU before the CPU, room before none, files before none', () => {
  const none = on('none', { ...gpu(9n, 0n), fits: false });
  const unknown = on('unknown', gpu(90n, 0n));
  expect(order(none, on('cpu', cpu), unknown, on('gpu', gpu(90n, 10n)))).toEqual(['gpu', 'unknown', 'cpu', 'none']);
});

test('where the least is left over; of unknown size where the most is free; else by name', () => {
  expect(order(on('wide', gpu(90n, 10n)), on('tight', gpu(20n, 10n)))).toEqual(['tight', 'wide']);
  expect(order(on('tight', gpu(20n, 0n)), on('wide', gpu(90n, 0n)))).toEqual(['wide', 'tight']);
  expect(order(on('b', cpu), on('a', cpu))).toEqual(['a', 'b']);
});

test('where it fits nowhere every node says why', () => {
  const merged = mergePlacements([
    on('a', { fits: false, summary: 'no room' }),
    on('b', { fits: false, summary: 'no such device' }),
  ]);
  expect(merged).toMatchObject({ fits: false, summary: "node 'a': no room; node 'b': no such device" });
});
