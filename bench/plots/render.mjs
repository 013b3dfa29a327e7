// Draws: {"name": Vega-Lite specification, …} on standard input becomes {"name": "<svg …>", …} on standard output.
// Apart from the rest and plain JavaScript, because its packages are installed with the benchmark and not with the mesh.
import { text } from 'node:stream/consumers';
import * as vega from 'vega';
import { compile } from 'vega-lite';

const specifications = JSON.parse(await text(process.stdin));
const drawn = {};
for (const [name, specification] of Object.entries(specifications)) {
  const view = new vega.View(vega.parse(compile(specification).spec), { renderer: 'none' });
  drawn[name] = await view.toSVG();
  view.finalize();
}
process.stdout.write(JSON.stringify(drawn));
