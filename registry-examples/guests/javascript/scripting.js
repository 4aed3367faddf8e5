// The world `scripting` in JavaScript. See ../scripting/wit.

import { getEnvironment } from 'wasi:cli/environment@0.2.0';

let asked = 0;

// The engine is built without the tables of Unicode: there is no `\p{…}`, no `normalize` and no `Intl`.
export function slug(title) {
  return title
    .toLowerCase()
    .replace(/[\s!-/:-@[-`{-~]+/g, '-')
    .replace(/^-|-$/g, '');
}

export function eldest(people) {
  return people.reduce((eldest, person) => (eldest && eldest.age >= person.age ? eldest : person), undefined);
}

// A `result` in WIT: what is returned is `ok`, what is thrown is `err`.
export function summarize(text) {
  const spellings = text.split(/\s+/).filter((word) => word !== '');
  if (spellings.length === 0) throw { tag: 'empty' };
  const numbers = spellings.map((word) => {
    const number = Number(word);
    if (!Number.isFinite(number)) throw { tag: 'no-number', val: word };
    return number;
  });
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const counts = new Map();
  for (const word of spellings) counts.set(word, (counts.get(word) ?? 0) + 1);
  return {
    count: numbers.length,
    mean: numbers.reduce((a, b) => a + b) / numbers.length,
    median: sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2,
    words: [...counts].sort((a, b) => b[1] - a[1]),
  };
}

export function findAll(pattern, text) {
  try {
    return [...text.matchAll(new RegExp(pattern, 'gu'))].map((match) => match[0]);
  } catch (error) {
    throw String(error);
  }
}

export function pick(document, path) {
  let here;
  try {
    here = JSON.parse(document);
  } catch (error) {
    throw String(error);
  }
  for (const step of path.split('.').filter((step) => step !== '')) {
    if (here === null || typeof here !== 'object' || !Object.hasOwn(here, step)) throw `there is no \`${step}\``;
    here = here[step];
  }
  return JSON.stringify(here);
}

// An exported function may be async: the guest waits in `wasi:io/poll`, and its host meanwhile runs others.
export async function nap(ms) {
  const start = performance.now();
  await new Promise((wake) => setTimeout(wake, ms));
  return performance.now() - start;
}

export function now() {
  return Date.now() / 1000;
}

export function chance() {
  return Math.random();
}

export function variable(name) {
  return getEnvironment().find(([known]) => known === name)?.[1];
}

export function say(line) {
  console.log(line);
}

export function count() {
  return ++asked;
}

export function spin() {
  for (;;);
}

export function recurse(depth) {
  const down = (left) => (left === 0 ? 0 : 1 + down(left - 1));
  try {
    return down(depth);
  } catch (error) {
    throw String(error);
  }
}

export function hold(mib) {
  const held = [];
  try {
    for (let i = 0; i < mib; i++) held.push(new Uint8Array(1 << 20).fill(i));
  } catch (error) {
    throw String(error);
  }
  return held.length;
}

export function fail(message) {
  throw new Error(message);
}
