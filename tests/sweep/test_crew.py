"""The first node's orders to the others, over a real store."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace

import pytest

from ablate.launch import nodes as crew
from ablate.launch.nodes import ADDRESS, NODES, Crew, Order, follow


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Nobody has to wait as long as on a real cluster."""
    monkeypatch.setattr(crew, "POLL", 0.02)
    monkeypatch.setattr(crew, "PATIENCE", 20.0)
    monkeypatch.setattr(crew, "timedelta", lambda seconds: timedelta(seconds=seconds / 20))


@pytest.fixture
def later(monkeypatch):
    """Puts the clock forward by so many seconds."""
    forward = []
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + sum(forward), sleep=time.sleep)
    monkeypatch.setattr(crew, "time", clock)
    return forward.append


class Node:
    """A further node, which follows in a thread."""

    def __init__(self, port):
        self.heard, self.stop, self.busy = [], threading.Event(), threading.Lock()
        self.pool = ThreadPoolExecutor(1)
        self.end = self.pool.submit(follow, "127.0.0.1", port, self.carry_out, self.stop.is_set)

    def carry_out(self, order):
        with self.busy:
            self.heard.append((order.trial_id, order.number, order.port))

    def wait_until_heard(self, count):
        deadline = time.monotonic() + 20
        while len(self.heard) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self.heard) == count


@pytest.fixture
def node(port):
    with contextlib.ExitStack() as stack:

        def start():
            node = Node(port)
            stack.callback(node.pool.shutdown)
            stack.callback(node.stop.set)
            return node

        yield start


def order(number, trial="a"):
    return Order(trial_id=trial, number=number, address="node1", port=5000 + number)


def test_orders_are_carried_out_one_after_the_other_until_the_last(node, port):
    nodes = [node(), node()]
    with Crew("127.0.0.1", port, nodes=3) as first:
        with nodes[0].busy:  # it is still at the first one when the second comes
            first.give(order(1))
            first.give(order(2))
            nodes[1].wait_until_heard(2)
            assert not nodes[0].heard
        began = time.monotonic()
    assert time.monotonic() - began < crew.PARTING - 1, "it waited for nodes that have heard"
    for each in nodes:
        each.end.result(20)
        assert each.heard == [("a", 1, 5001), ("a", 2, 5002)]


def test_a_worker_that_died_comes_back_and_starts_anew(node, port, later):
    other = node()
    first = Crew("127.0.0.1", port, nodes=2).__enter__()
    for number in (1, 2):
        first.give(order(number))
    other.wait_until_heard(2)
    later(2 * crew.PATIENCE)  # which is for the time without a worker alone
    first._store = None  # the store ends with the worker
    with Crew("127.0.0.1", port, nodes=2) as again:
        again.give(order(3))
        other.wait_until_heard(3)
    other.end.result(20)
    assert other.heard[2] == ("a", 3, 5003)


def test_after_an_error_the_others_wait_for_the_worker_that_comes_instead(node, port):
    other = node()
    with pytest.raises(RuntimeError, match="lost"), Crew("127.0.0.1", port, nodes=2) as first:
        first.give(order(1))
        other.wait_until_heard(1)
        raise RuntimeError("lost")
    first._store = None
    with Crew("127.0.0.1", port, nodes=2) as again:
        again.give(order(2))
        other.wait_until_heard(2)
    other.end.result(20)


def test_a_node_does_not_wait_for_ever(node, monkeypatch, port):
    monkeypatch.setattr(crew, "PATIENCE", 0.3)
    with pytest.raises(TimeoutError, match=f"127.0.0.1:{port}"):
        node().end.result(20)


def test_a_worker_that_went_for_good_is_missed(node, monkeypatch, port, later):
    monkeypatch.setattr(crew, "PATIENCE", 1.0)
    other = node()
    first = Crew("127.0.0.1", port, nodes=2).__enter__()
    first.give(order(1))
    other.wait_until_heard(1)
    later(2.0)
    first._store = None
    with pytest.raises(TimeoutError):
        other.end.result(20)
    assert len(other.heard) == 1


@pytest.mark.parametrize("there", [True, False])
def test_a_node_that_is_to_stop_does_with_and_without_a_worker(node, port, there):
    first = Crew("127.0.0.1", port, nodes=2 if there else 1).__enter__()
    other = node()
    first.give(order(1))
    other.wait_until_heard(1 if there else 0)
    other.stop.set()
    other.end.result(20)


def test_a_failing_node_is_not_taken_for_a_missing_worker(port):
    """What goes wrong while an order is carried out is not tried again."""
    failures = []

    def fail(order):
        failures.append(order.number)
        raise RuntimeError("no more processes here")

    first = Crew("127.0.0.1", port, nodes=2).__enter__()
    first.give(order(1))
    with pytest.raises(RuntimeError, match="no more processes"):
        follow("127.0.0.1", port, fail, lambda: len(failures) > 1)
    assert failures == [1]


def test_a_job_on_one_node_needs_no_store(monkeypatch):
    monkeypatch.delenv(ADDRESS, raising=False)
    with Crew.of_this_job() as alone:
        alone.give(order(1))
        assert (alone.nodes, alone._store) == (1, None)
    monkeypatch.setenv(ADDRESS, "node1.cluster:21017")
    monkeypatch.setenv(NODES, "3")
    assert Crew.of_this_job() == Crew("node1.cluster", 21017, 3)
