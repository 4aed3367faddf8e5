"""The world `scripting` in Python. See ../scripting/wit."""

import json
import os
import random
import re
import statistics
import time
from collections import Counter
from typing import List, Optional

import wit_world
from componentize_py_types import Err
from wit_world import Person, Problem_Empty, Problem_NoNumber, Summary

asked = 0


class WitWorld(wit_world.WitWorld):
    def slug(self, title: str) -> str:
        return re.sub(r"[\s!-/:-@\[-`{-~]+", "-", title.lower()).strip("-")

    def eldest(self, people: List[Person]) -> Optional[Person]:
        return max(people, key=lambda person: person.age, default=None)

    # A `result` in WIT: what is returned is `ok`, an `Err` that is raised is `err`.
    def summarize(self, text: str) -> Summary:
        spellings = text.split()
        if not spellings:
            raise Err(Problem_Empty())
        numbers = []
        for word in spellings:
            try:
                numbers.append(float(word))
            except ValueError:
                raise Err(Problem_NoNumber(word))
        return Summary(
            len(numbers), statistics.fmean(numbers), statistics.median(numbers), Counter(spellings).most_common()
        )

    def find_all(self, pattern: str, text: str) -> List[str]:
        try:
            return [match[0] for match in re.finditer(pattern, text)]
        except re.error as error:
            raise Err(f"error: {error}")

    def pick(self, document: str, path: str) -> str:
        try:
            here = json.loads(document)
        except ValueError as error:
            raise Err(f"ValueError: {error}")
        for step in filter(None, path.split(".")):
            try:
                here = here[int(step)] if isinstance(here, list) else here[step]
            except (LookupError, TypeError, ValueError):
                raise Err(f"there is no `{step}`")
        return json.dumps(here, separators=(",", ":"), ensure_ascii=False)

    # The guest waits in `wasi:io/poll`, and its host meanwhile runs others.
    def nap(self, ms: int) -> float:
        start = time.monotonic()
        time.sleep(ms / 1000)
        return (time.monotonic() - start) * 1000

    def now(self) -> float:
        return time.time()

    def chance(self) -> float:
        return random.random()

    def variable(self, name: str) -> Optional[str]:
        return os.environ.get(name)

    def say(self, line: str) -> None:
        print(line, flush=True)

    def count(self) -> int:
        global asked
        asked += 1
        return asked

    def spin(self) -> None:
        while True:
            pass

    def recurse(self, depth: int) -> int:
        def down(left: int) -> int:
            return 0 if left == 0 else 1 + down(left - 1)

        try:
            return down(depth)
        except RecursionError as error:
            raise Err(f"RecursionError: {error}")

    def hold(self, mib: int) -> int:
        held = []
        try:
            for i in range(mib):
                held.append(bytes([i % 256]) * (1 << 20))
        except MemoryError:
            raise Err("MemoryError")
        return len(held)

    def fail(self, message: str) -> None:
        raise RuntimeError(message)
