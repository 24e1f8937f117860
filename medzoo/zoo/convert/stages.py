"""The stages of a conversion, on a terminal only: their length is unknown, so a line names the current one and the time."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tqdm import tqdm

from medzoo.progress import SHOW_AFTER, is_main_process, on_terminal

REFRESH = 0.5  # seconds between two updates of the time


class Stages:
    """The stages of work whose length is unknown: on a terminal, a line names the current one, with the time since the start.

    Args:
        name: of the work, such as "convert ResNet50.pt".
        stages: what is done, in order.

    >>> with Stages("convert x.pt", ["read", "write"]) as stages:
    ...     stages.begin("read")
    ...     stages.begin("write")
    >>> stages.current
    'write'
    """

    def __init__(self, name: str, stages: Sequence[str]) -> None:
        self._stages, self.current = list(stages), ""
        form = "{desc}: {n_fmt} of {total_fmt}{postfix} [{elapsed}]"
        hidden = not (is_main_process() and on_terminal())
        self._bar = tqdm(
            total=len(self._stages),
            desc=name,
            bar_format=form,
            leave=False,
            delay=SHOW_AFTER,
            disable=hidden,
        )
        self._shown = False
        self._ended = threading.Event()
        self._clock = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Stages:
        if not self._bar.disable:
            self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._clock.is_alive():
            self._clock.join()
        if self._shown:
            self._bar.clear()  # `close` clears only what an update has shown
        self._bar.close()

    def begin(self, stage: str) -> None:
        """Begin a stage.

        Args:
            stage: one of the names given at the start.
        """
        self.current = stage
        self._bar.n = self._stages.index(stage) + 1
        self._bar.set_postfix_str(stage, refresh=False)

    def _tick(self) -> None:
        """Show the time while a stage runs. tqdm's delay holds for updates only, so the first second is waited for here."""
        wait = SHOW_AFTER
        while not self._ended.wait(wait):
            self._shown = True
            self._bar.refresh()
            wait = REFRESH
