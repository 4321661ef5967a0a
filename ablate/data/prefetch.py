"""Make items in a background thread before the consumer asks for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(make: Callable[[Item], Result], items: Iterable[Item], depth: int = 2) -> Generator[Result]:
    """Yield ``make(item)`` for every item, in order, making up to ``depth`` ahead in one background thread.

    An exception that ``make`` raises is raised here, at its place in the order. Closing the generator early ends the
    thread. ``items`` are drawn in the consumer's thread.

    Args:
        make: the function to call.
        items: its arguments, one by one.
        depth: the number of results made ahead.
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
