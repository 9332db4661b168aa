"""When queries see streamed bars."""

from __future__ import annotations

from bench.sections.stream import Measured, QueryAnswer


def test_a_frame_is_readable_at_the_first_answer_that_has_as_many_bars() -> None:
    measured = Measured(sent_s=[10.0, 10.1, 10.2])
    size = measured.bars_a_frame
    counts = ((10.1, 0), (10.3, size), (10.4, 2 * size - 1), (10.6, 3 * size))
    measured.answers = [QueryAnswer(at_s, bars) for at_s, bars in counts]
    assert [round(latency) for latency in measured.latencies_ms()] == [300, 400, 500]
