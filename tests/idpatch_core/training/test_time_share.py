"""Sampling stays within its share of the time, and is put off until it does."""

from idpatch_core.training.time_share import TimeShare


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def sample(share: TimeShare, clock: Clock, images: int, seconds: float) -> bool:
    """Sample one image after another; return whether all were made."""
    share.begin()
    for done in range(images):
        if not share.allows_rest(done, images):
            share.end(complete=False)
            return False
        clock.now += seconds
    share.end(complete=True)
    return True


def test_of_a_long_run_a_tenth_is_spent_on_sampling():
    clock, share_of_time = Clock(), 0.1
    share = TimeShare(share_of_time, clock)
    spent, made = 0.0, 0
    for _ in range(1000):  # due after each 100 s, ten images take 50 s
        clock.now += 100
        if share.allows_sampling():
            before = clock.now
            made += sample(share, clock, 10, 5)
            spent += clock.now - before
            if made:
                assert spent <= share_of_time * clock.now
    assert 0.095 < spent / clock.now <= 0.1
    assert 195 < made < 225


def test_the_first_sampling_that_is_too_long_is_put_off_after_one_batch():
    clock = Clock()
    share = TimeShare(0.1, clock)
    clock.now = 100
    assert share.allows_sampling()  # it is not known how long it takes
    assert not sample(share, clock, 10, 5)
    assert clock.now == 105
    assert not share.allows_sampling()
    clock.now = 494  # 5 and 50 of 544 seconds are more than a tenth
    assert not share.allows_sampling()
    clock.now = 501
    assert share.allows_sampling()
    assert sample(share, clock, 10, 5)


def test_a_share_of_one_is_no_limit():
    clock = Clock()
    share = TimeShare(1.0, clock)
    for _ in range(3):
        assert share.allows_sampling()
        assert sample(share, clock, 4, 60)
