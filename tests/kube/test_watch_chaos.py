"""A watch under a rain of random faults, restarts and changes still ends with the true picture."""

from __future__ import annotations

import random
import time

import pytest

from tests.kube.faulty_apiserver import Exchange, FaultyApiserver, hang_up, refuse, status
from tests.kube.state_of_pods import StateOfPods
from tests.kube.watching import Store, eventually, running


class Rain:
    """Answers each request well or badly, as the dice fall, until it is dry."""

    def __init__(self, pods: StateOfPods, seed: int) -> None:
        self.pods, self.dice, self.dry, self.fell = pods, random.Random(seed), False, 0

    def answer(self, exchange: Exchange) -> None:
        if self.dry or self.dice.random() < 0.4:
            self.pods.answer(exchange)
            return
        self.fell += 1
        self.dice.choice(
            [
                refuse(500, "InternalError", "boom"),
                refuse(410, "Expired", "too old"),
                refuse(429, "TooManyRequests", "slow", headers={"Retry-After": "0"}),
                hang_up,
                lambda e: e.send(200, b"{}"),
                lambda e: (e.start_stream(), e.event("ERROR", status(410, "Expired"))),
                lambda e: (e.start_stream(), e.wait(0.5)),
                lambda e: (e.head(200, {"Content-Length": "9000"}), e.write(b"{"), e.hang_up()),
                self.cut_later,
            ]
        )(exchange)

    def cut_later(self, exchange: Exchange) -> None:
        """A good answer, cut at some moment."""
        ends = time.monotonic() + self.dice.uniform(0, 0.5)
        write = exchange.write

        def or_cut(raw: bytes) -> None:
            if time.monotonic() > ends:
                exchange.hang_up()
                raise OSError("cut")
            write(raw)

        exchange.write = or_cut  # type: ignore[method-assign]
        self.pods.answer(exchange)


def shake(pods: StateOfPods, dice: random.Random) -> None:
    name = f"p{dice.randrange(900):03}"
    if name in pods.pods and dice.random() < 0.4:
        pods.remove(name)
    else:
        pods.put(name, phase=dice.choice(["Pending", "Running", "Failed"]))
    if dice.random() < 0.01:
        pods.compact()
    if dice.random() < 0.05:
        pods.bookmark()


@pytest.mark.parametrize("seed", range(2))
def test_the_picture_is_true_in_the_end(pods: StateOfPods, seed: int):
    dice, store, rain = random.Random(seed), Store(), Rain(pods, seed)
    for n in range(0, 900, 2):
        pods.put(f"p{n:03}", phase="Running")
    with FaultyApiserver(rain.answer) as server:
        for _ in range(3):  # lives of the process; only the store survives
            with running(server.endpoint, store, resume=True, idle=0.3, backoff_max=0.1):
                ends = time.monotonic() + 0.9
                while time.monotonic() < ends:
                    shake(pods, dice)
                    store.refuse = 1 if dice.random() < 0.01 else store.refuse
                    time.sleep(0.003)
        rain.dry = True
        truth = {name: pod["status"]["phase"] for name, pod in pods.pods.items()}
        with running(server.endpoint, store, resume=True):
            eventually(lambda: picture(store) == truth, 20)
    assert rain.fell > 5, "the rain must fall for this test to mean anything"


def picture(store: Store) -> dict[str, str]:
    return {c.name: c.projection["phase"] for c in list(store.objects.values())}
