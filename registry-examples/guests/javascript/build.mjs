// Makes components of scripting.js and server.js: `node build.mjs FOLDER`.

import { writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

async function build(name, options) {
  const { component } = await componentize({ sourcePath: `${name}.js`, worldName: name, ...options });
  await writeFile(`${process.argv[2]}/${name}.wasm`, component);
}

// `fetch` is not used. Left in, it makes the component import all of `wasi:http`.
await build('scripting', { witPath: '../scripting/wit', disableFeatures: ['http', 'fetch-event'] });
await build('server', { witPath: 'wit' });
