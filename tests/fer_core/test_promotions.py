"""What promotions and rollbacks say of earlier champions."""

from fer_core.promotions import Action, Aliases, Move, champions_of


def move(version: int, before: Aliases, after: Aliases, action: Action = "promote") -> Move:
    return Move(f"id{version}", "at noon", action, version, before, after, (), None, "because", None, None, "abc")


FIRST = move(1, Aliases(), Aliases(1))
SECOND = move(2, Aliases(1), Aliases(2, previous=1))


def test_the_champions_that_lead_to_one() -> None:
    third = move(3, Aliases(2, previous=1), Aliases(3, previous=2))
    back = move(3, Aliases(3, previous=2), Aliases(2, previous=1), "rollback")
    far_back = move(3, Aliases(3, previous=2), Aliases(1), "rollback")
    refused = move(4, Aliases(3, previous=2), Aliases(3, 4, 2), "refuse")
    assert champions_of([], Aliases()) == []
    assert champions_of([FIRST, SECOND, third, refused], Aliases(3, 4, 2)) == [1, 2, 3]
    assert champions_of([FIRST, SECOND, third, back], Aliases(2, previous=1)) == [1, 2]
    assert champions_of([FIRST, SECOND, third, far_back], Aliases(1)) == [1]
    again = move(1, Aliases(2, previous=1), Aliases(1, previous=2))
    assert champions_of([FIRST, SECOND, again], Aliases(1, previous=2)) == [1, 2, 1]


def test_champions_that_nobody_logged_count_as_far_as_the_aliases_know_them() -> None:
    assert champions_of([], Aliases(7, previous=5)) == [5, 7]
    assert champions_of([FIRST, SECOND], Aliases(7, previous=5)) == [5, 7]
    later = move(9, Aliases(7, previous=5), Aliases(9, previous=7))
    assert champions_of([FIRST, later], Aliases(9, previous=7)) == [5, 7, 9]
    assert champions_of([FIRST], Aliases(None, previous=1)) == []
