"""What is shown while training: lines by the clock, a bar on a terminal, nothing when quiet."""

import io

from mmbench.training.callbacks import Callback, Callbacks
from mmbench.training.curves import TrainTerms
from mmbench.training.progress import Bar, Lines, StatusLine, progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def train(callback: Callback, clock: Clock, steps: int, *, seconds_a_step: float, rows: int = 128) -> None:
    callback.started(0, steps)
    for step in range(1, steps + 1):
        clock.now += seconds_a_step
        callback.stepped(step, rows)
        callback.trained(TrainTerms(step, {"loss": 100.0 / step, "kl": 2.0}))
    callback.ended()


def test_lines_come_now_and_then_and_at_the_end() -> None:
    out, clock = io.StringIO(), Clock()
    train(Lines("meme", out, seconds=10.0, clock=clock), clock, 5, seconds_a_step=4.0)
    assert out.getvalue().splitlines() == [
        "meme: step 3/5, loss 33.33, kl 2, 32 pairs/s, 00:08 left",
        "meme: step 5/5, loss 20, kl 2, 32 pairs/s, 00:00 left",
    ]


def test_time_left_counts_from_the_step_of_the_checkpoint() -> None:
    out, clock = io.StringIO(), Clock()
    lines = Lines("meme", out, seconds=10.0, clock=clock)
    lines.started(90, 100)
    clock.now = 10.0
    lines.stepped(91, 64)
    lines.trained(TrainTerms(91, {"loss": 1.0}))
    assert out.getvalue() == "meme: step 91/100, loss 1, 6 pairs/s, 01:30 left\n"


def test_a_terminal_gets_a_bar_with_terms_and_rate() -> None:
    out, clock = Terminal(), Clock()
    callback = progress("meme", out=out)
    assert isinstance(callback, Bar)
    train(callback, clock, 3, seconds_a_step=0.0)
    shown = out.getvalue()
    assert "meme: 100%" in shown
    assert "3/3" in shown
    assert "loss 33.33" in shown
    assert "pairs/s" in shown


def test_quiet_shows_nothing() -> None:
    out, clock = Terminal(), Clock()
    train(progress("meme", quiet=True, out=out), clock, 3, seconds_a_step=100.0)
    with StatusLine("meme", quiet=True, out=out) as status:
        status("preparing")
    assert out.getvalue() == ""


def test_the_status_line_is_written_over_on_a_terminal_and_stays_out_of_logs() -> None:
    terminal, log = Terminal(), io.StringIO()
    for out in (terminal, log):
        with StatusLine("meme", out=out) as status:
            status("preparing coherence")
    assert terminal.getvalue() == "\r\x1b[Kmeme: preparing coherence\r\x1b[K"
    assert log.getvalue() == ""


def test_several_callbacks_are_called_in_order() -> None:
    told: list[str] = []

    class Named(Callback):
        def __init__(self, name: str) -> None:
            self._name = name

        def started(self, step: int, total: int) -> None:
            told.append(f"{self._name} {step}/{total}")

    Callbacks([Named("a"), Named("b")]).started(1, 9)
    assert told == ["a 1/9", "b 1/9"]
