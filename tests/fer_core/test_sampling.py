from collections import Counter, defaultdict

import numpy as np
import pytest

from fer_core.sampling.balanced import BLOCKS_AT_ONCE, LEAST_OF_A_LABEL, BalancedSampler

SKEWED = np.repeat([0, 1, 2, 3], [50, 17, 5, 3])
FORTY = np.repeat(np.arange(40), np.arange(40) % 7 + 1)
EVEN = np.tile([4, 9], 8)
CASES = [(SKEWED, 16), (SKEWED, 17), (SKEWED, 19), (SKEWED, 8), (SKEWED, 9), (FORTY, 16), (FORTY, 17), (FORTY, 4)]
CASES += [(FORTY, 80), (FORTY, 96), (EVEN, 4), (EVEN, 5), (EVEN, 40)]
cases = pytest.mark.parametrize(("labels", "batch_size"), CASES)


def batches(sampler, epochs=3, **worker):
    steps = range(sampler.steps_per_epoch)
    return [sampler.batch(epoch, step, **worker) for epoch in range(epochs) for step in steps]


def loop(labels, batch_size, seed, num_batches):
    """The sampler as one walks it by hand: a pile of rows for each label, dealt out in turn."""
    names = sorted(set(labels.tolist()))
    piles, passes, turn, made = {name: [] for name in names}, Counter(), 0, []

    def draw(name):
        if not piles[name]:
            rng = np.random.default_rng([seed, name + 1, passes[name]])
            piles[name] = rng.permutation(np.flatnonzero(labels == name)).tolist()
            passes[name] += 1
        return piles[name].pop(0)

    for _ in range(num_batches):
        wanted = Counter()
        if batch_size < 2 * len(names):
            order = []
            for _ in range(batch_size // 2):
                order.append(names[turn % len(names)])
                wanted[order[-1]] = 2
                turn += 1
        else:
            order = names
            wanted.update({name: batch_size // len(names) for name in names})
            for _ in range(batch_size % len(names)):
                wanted[names[turn % len(names)]] += 1
                turn += 1
        made.append([draw(name) for name in order for _ in range(wanted[name])])
    return made


@cases
def test_batches_are_those_of_the_slow_loop(labels, batch_size):
    sampler = BalancedSampler(labels, batch_size, seed=3)
    made = batches(sampler)
    assert [batch.tolist() for batch in made] == loop(labels, batch_size, 3, len(made))
    assert all(batch.dtype == np.int64 for batch in made)


@cases
def test_a_batch_holds_as_equal_numbers_as_it_can_and_two_of_each_label_drawn(labels, batch_size):
    sampler = BalancedSampler(labels, batch_size, seed=0)
    for batch in batches(sampler):
        assert len(batch) == sampler.rows_per_batch <= batch_size
        counts = Counter(labels[batch].tolist())
        assert min(counts.values()) >= LEAST_OF_A_LABEL
        assert max(counts.values()) - min(counts.values()) <= 1
        assert len(counts) == min(len(set(labels.tolist())), batch_size // 2)


@cases
def test_over_a_run_every_label_is_drawn_as_often(labels, batch_size):
    drawn = Counter(labels[np.concatenate(batches(BalancedSampler(labels, batch_size, seed=0), epochs=10))].tolist())
    assert len(drawn) == len(set(labels.tolist()))
    assert max(drawn.values()) - min(drawn.values()) <= 2


@cases
def test_no_row_comes_again_before_all_of_its_label_came(labels, batch_size):
    walk_of = defaultdict(list)
    for row in np.concatenate(batches(BalancedSampler(labels, batch_size, seed=0), epochs=6)):
        walk_of[int(labels[row])].append(int(row))
    for label, drawn in walk_of.items():
        rows = np.flatnonzero(labels == label).tolist()
        for start in range(0, len(drawn), len(rows)):
            walk = drawn[start : start + len(rows)]
            assert len(set(walk)) == len(walk)
            if len(walk) == len(rows):
                assert sorted(walk) == rows


def test_each_pass_is_shuffled_anew():
    sampler = BalancedSampler(np.repeat([0, 1], 40), 80, seed=0)
    first, second = sampler.batch(0, 0)[:40].tolist(), sampler.batch(1, 0)[:40].tolist()
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second != sorted(second)


@pytest.mark.parametrize("world", [1, 2, 3])
@cases
def test_workers_part_the_global_batch(labels, batch_size, world):
    sampler = BalancedSampler(labels, batch_size, seed=0)
    whole = batches(sampler, epochs=1)
    shares = [batches(sampler, epochs=1, rank=rank, world=world) for rank in range(world)]
    for step, batch in enumerate(whole):
        for rank in range(world):
            np.testing.assert_array_equal(shares[rank][step], batch[rank::world])
        sizes = [len(shares[rank][step]) for rank in range(world)]
        assert sum(sizes) == len(batch)
        assert max(sizes) - min(sizes) <= 1


@cases
def test_a_batch_goes_by_its_number_alone(labels, batch_size):
    made = batches(BalancedSampler(labels, batch_size, seed=7))
    late = BalancedSampler(labels, batch_size, seed=7)  # as after a restart
    steps = late.steps_per_epoch
    for number in range(len(made) - 1, -1, -3):
        epoch, step = divmod(number, steps)
        np.testing.assert_array_equal(late.batch(epoch, step), made[number])
        np.testing.assert_array_equal(late.batch(0, number), made[number])


def test_the_seed_decides_and_global_state_does_not():
    first = batches(BalancedSampler(SKEWED, 16, seed=0))
    np.random.seed(5)  # noqa: NPY002  global state must not matter
    again = batches(BalancedSampler(SKEWED, 16, seed=0))
    other = batches(BalancedSampler(SKEWED, 16, seed=1))
    assert all((one == two).all() for one, two in zip(first, again, strict=True))
    assert any((one != two).any() for one, two in zip(first, other, strict=True))


@cases
def test_an_epoch_draws_as_many_rows_as_there_are(labels, batch_size):
    sampler = BalancedSampler(labels, batch_size, seed=0)
    drawn = sampler.steps_per_epoch * sampler.rows_per_batch
    assert len(labels) <= drawn < len(labels) + sampler.rows_per_batch


@pytest.mark.parametrize(("labels", "batch_size"), [(EVEN, 3), (EVEN, 0), (np.zeros(9, int), 8), (EVEN[:0], 8)])
def test_two_of_two_labels_are_needed(labels, batch_size):
    with pytest.raises(ValueError, match="two of two labels are needed"):
        BalancedSampler(labels, batch_size, seed=0)


blocks = pytest.mark.parametrize("block", [1, 3, 7, 64])


def walks_of(labels, sampler, epochs=8):
    """Label -> the rows drawn of it, cut into whole passes over them."""
    drawn = np.concatenate(batches(sampler, epochs))
    made = {}
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        own = drawn[labels[drawn] == label]
        made[int(label)] = own[: len(own) // len(rows) * len(rows)].reshape(-1, len(rows))
    return made


@blocks
@cases
def test_every_walk_by_blocks_is_a_permutation_of_the_labels_rows(labels, batch_size, block):
    for label, walks in walks_of(
        labels, BalancedSampler(labels, batch_size, seed=0, block_N=np.arange(len(labels)) // block)
    ).items():
        rows = np.flatnonzero(labels == label)
        assert len(walks) > 0
        for walk in walks:
            np.testing.assert_array_equal(np.sort(walk), rows)


@blocks
@cases
def test_batches_by_blocks_hold_the_same_labels_as_those_by_rows(labels, batch_size, block):
    block_N = np.arange(len(labels)) // block
    by_row, by_block = (batches(BalancedSampler(labels, batch_size, 0, one)) for one in (None, block_N))
    for one, other in zip(by_row, by_block, strict=True):
        np.testing.assert_array_equal(labels[one], labels[other])


@blocks
@cases
def test_a_batch_by_blocks_goes_by_its_number_alone_and_workers_part_it(labels, batch_size, block):
    made = batches(BalancedSampler(labels, batch_size, seed=7, block_N=np.arange(len(labels)) // block))
    late = BalancedSampler(labels, batch_size, seed=7, block_N=np.arange(len(labels)) // block)
    for number in range(len(made) - 1, -1, -4):
        epoch, step = divmod(number, late.steps_per_epoch)
        np.testing.assert_array_equal(late.batch(epoch, step), made[number])
        np.testing.assert_array_equal(late.batch(epoch, step, rank=1, world=2), made[number][1::2])


def test_a_walk_stays_in_a_few_blocks_at_a_time_and_takes_others_the_next_time():
    labels, block = np.repeat([0, 1], [320, 320]), 8
    sampler = BalancedSampler(labels, 64, seed=1, block_N=np.arange(len(labels)) // block)
    first, second = walks_of(labels, sampler)[0][:2]
    for walk in (first, second):
        groups = (walk // block).reshape(-1, block * BLOCKS_AT_ONCE)
        assert all(len(set(group.tolist())) == BLOCKS_AT_ONCE for group in groups)
        assert any((group[:-1] != group[1:]).mean() > 0.5 for group in groups)  # and shuffled within these
    assert set((first[:32] // block).tolist()) != set((second[:32] // block).tolist())


def test_blocks_that_hold_everything_are_as_good_as_none():
    sampler = BalancedSampler(SKEWED, 16, 0, np.zeros(len(SKEWED), int))
    np.testing.assert_array_equal(np.sort(walks_of(SKEWED, sampler)[0][0]), np.arange(50))
    other = BalancedSampler(SKEWED, 16, 1, np.zeros(len(SKEWED), int))
    assert (sampler.batch(0, 0) != other.batch(0, 0)).any()
