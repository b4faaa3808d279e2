"""How many tasks a claim may give beside others, where workers died under some of them."""

import pytest

from ltq.broker.isolation import ClaimBudget, isolation_of


@pytest.mark.parametrize(
    ("deaths", "max_deliveries", "isolation"),
    [(0, 5, None), (-1, 5, None), (4, 5, 1), (3, 5, 10), (1, 5, 1000), (9, 5, 1), (1, 100, 10**9)],
)
def test_the_nearer_its_last_death_the_fewer_run_beside_a_task(
    deaths: int, max_deliveries: int, isolation: int | None
) -> None:
    assert isolation_of(deaths, max_deliveries) == isolation


class TestTakes:
    def test_tasks_without_isolation_fill_the_limit(self) -> None:
        budget = ClaimBudget(3, 7)
        assert all(budget.takes(None) for _ in range(3))
        assert (budget.room, budget.running, budget.refused) == (0, 10, None)

    def test_one_that_needs_isolation_limits_those_after_it(self) -> None:
        budget = ClaimBudget(50, 2)
        assert budget.takes(10)
        assert (budget.room, budget.running) == (7, 3)

    def test_a_wider_one_takes_no_room_back(self) -> None:
        budget = ClaimBudget(5, 0)
        assert budget.takes(2)
        assert budget.room == 1
        assert budget.takes(100)
        assert budget.room == 0

    def test_one_is_left_beside_too_many(self) -> None:
        budget = ClaimBudget(5, 3)
        assert not budget.takes(3)
        assert (budget.room, budget.running, budget.refused) == (5, 3, 3)

    def test_the_smallest_isolation_refused_is_told(self) -> None:
        budget = ClaimBudget(5, 20)
        assert not any([budget.takes(10), budget.takes(1), budget.takes(10)])
        assert budget.refused == 1

    def test_alone_it_needs_an_empty_process(self) -> None:
        assert ClaimBudget(5, 0).takes(1)
        assert not ClaimBudget(5, 1).takes(1)


class TestIgnoreIsolation:
    def test_one_is_taken_however_much_runs(self) -> None:
        budget = ClaimBudget(5, 7, ignore_isolation=True)
        assert budget.takes(1)
        assert not budget.ignores_isolation
        assert (budget.running, budget.room) == (1, 4)
        assert not budget.takes(1)
        assert budget.refused == 1

    def test_others_leave_it_to_come(self) -> None:
        budget = ClaimBudget(5, 7, ignore_isolation=True)
        assert budget.takes(None)
        assert budget.takes(1)
        assert (budget.running, budget.room) == (2, 3)


class TestJoin:
    def test_one_given_before_counts_wherever_it_does_not_fit(self) -> None:
        budget = ClaimBudget(1, 5)
        budget.join(2)
        assert (budget.room, budget.running) == (0, 6)
