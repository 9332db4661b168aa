"""A run of random faults can be repeated, and leaves no process out."""

from __future__ import annotations

import random

from tests.support.system.chaos import VICTIMS, FaultKind, plan_faults


def test_a_seed_gives_the_same_faults_again_and_every_process_both_kinds() -> None:
    plan = plan_faults(random.Random(1), 200)
    assert plan == plan_faults(random.Random(1), 200)
    assert plan != plan_faults(random.Random(2), 200)
    assert sum(map(len, plan.values())) == 200
    assert set(plan) == set(VICTIMS)
    assert all({fault.kind for fault in faults} == set(FaultKind) for faults in plan.values())
