"""Work done ahead of its consumer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(make: Callable[[Item], Result], items: Iterable[Item], depth: int = 2) -> Generator[Result]:
    """``make(item)`` of every item, in order, up to ``depth`` of them made ahead by one background thread.

    What ``make`` raises is raised here, in its place in the order. Closing the generator early ends the thread.
    ``items`` are drawn in the consumer's thread.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="ablate-prefetch")
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
