// Makes a component of scripting.js: `node build.mjs OUT`.

import { writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const { component } = await componentize({
  sourcePath: 'scripting.js',
  witPath: '../scripting/wit',
  worldName: 'scripting',
  // `fetch` is not used. Left in, it makes the component import all of `wasi:http`.
  disableFeatures: ['http', 'fetch-event'],
});
await writeFile(process.argv[2], component);
