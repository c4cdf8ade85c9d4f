import threading
import time

import pytest

from fer_core.ahead import ahead


def test_things_come_in_order_and_all_of_them():
    for count in (0, 1, 2, 3, 20):
        with ahead(iter(range(count)), 3) as things:
            assert list(things) == list(range(count))


def test_so_many_and_no_more_are_made_ahead_by_another_thread():
    made, threads = [], set()

    def make():
        for at in range(10):
            made.append(at)
            threads.add(threading.current_thread())
            yield at

    with ahead(make(), 2) as things:
        next(things)
        deadline = time.monotonic() + 5
        while len(made) < 3 and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)
        assert made == [0, 1, 2]
    assert threading.current_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)


def test_what_making_raises_comes_after_those_before_it():
    def make():
        yield from range(3)
        raise KeyError("the fourth")

    with ahead(make(), 5) as things:
        assert [next(things) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(KeyError, match="the fourth"):
            next(things)
