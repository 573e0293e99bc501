"""Write a step of kind ``external`` as a Python program.

    from bench_client import step

    with step() as bench:
        bench.drive("D4", True)
        bench.wait(0.005)
        bench.measured("divider", bench.volts("A0"))

The program gets the bench over its standard input and output, so ``print`` must not be used for anything else:
``print(..., file=sys.stderr)`` goes into the step's log. Values are in base units: volts, ohms, amperes, hertz,
seconds, percent. The bench judges what was ``measured``; the program does not decide whether the module is good.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Dict, IO, Iterator, List, Mapping, Optional, Sequence, Union

__all__ = [
    "Bench",
    "BenchError",
    "BenchFault",
    "Measurement",
    "ModuleFault",
    "PROTOCOL",
    "ProtocolError",
    "RequestError",
    "step",
]

#: Version of the protocol that this package speaks.
PROTOCOL = 1

Pin = Union[str, int]


class BenchError(Exception):
    """The bench did not do what was asked."""


class RequestError(BenchError):
    """The request makes no sense: a misspelt pin, a missing value."""


class BenchFault(BenchError):
    """An instrument failed or refused."""


class ModuleFault(BenchError):
    """The module is at fault: it does not answer, for example."""


class ProtocolError(Exception):
    """The bench speaks another protocol, or is gone."""


_KINDS = {"request": RequestError, "bench": BenchFault, "module": ModuleFault}


@dataclass(frozen=True)
class Measurement:
    """A measurement that the plan promises, with its limits."""

    name: str
    unit: str
    min: Optional[float]
    max: Optional[float]


@dataclass(frozen=True)
class Reply:
    """What an action came to."""

    value: Optional[float] = None
    unit: Optional[str] = None
    text: Optional[str] = None
    data: bytes = b""


@dataclass
class Bench:
    """The bench, for one attempt at the step."""

    step: str
    attempt: int
    serial: str
    model: str
    family: str
    fixture: str
    measurements: List[Measurement]
    #: ``parameters`` of the step in the plan.
    parameters: Dict[str, Any]
    _from: IO[str] = field(repr=False)
    _to: IO[str] = field(repr=False)
    _last: int = field(default=0, repr=False)

    def request(self, **keys: Any) -> Reply:
        """Sends any request of the protocol, and returns its reply.

        Raises RequestError, BenchFault or ModuleFault.
        """
        self._last += 1
        line = json.dumps({"id": self._last, **keys}, allow_nan=False)
        self._to.write(line + "\n")
        self._to.flush()
        answer = self._from.readline()
        if not answer:
            raise ProtocolError("the bench is gone")
        reply = json.loads(answer)
        if reply.get("id") != self._last:
            raise ProtocolError(f"the bench answered {reply.get('id')}, not {self._last}")
        if "error" in reply:
            text = reply["error"]
            if reply.get("help"):
                text += f" ({reply['help']})"
            raise _KINDS.get(reply.get("kind"), BenchError)(text)
        data = bytes.fromhex(reply.get("bytes", ""))
        return Reply(reply.get("value"), reply.get("unit"), reply.get("text"), data)

    def _value(self, **keys: Any) -> float:
        value = self.request(**keys).value
        if value is None:
            raise BenchError(f"no reading: {keys}")
        return value

    # Power and nails.

    def rail(self, rail: str, on: bool) -> None:
        """Switches a rail that the step lists in ``rails``."""
        self.request(rail=rail, on=on)

    def drive(self, pin: Pin, high: bool) -> None:
        """Drives a nail. Needs ``nails``."""
        self.request(drive=pin, high=high)

    def release(self, pin: Pin = "all") -> None:
        """Releases a nail, or all. Needs ``nails``."""
        self.request(release=pin)

    def read(self, pin: Pin) -> bool:
        """Whether a nail reads high. Needs ``nails``."""
        return self._value(read=pin) == 1.0

    # Measuring.

    def volts(self, pin: Pin) -> float:
        """Voltage at a contact. Needs ``measure-bus``."""
        return self._value(measure="volts", at=pin)

    def ohms(self, pin: Pin) -> float:
        """Resistance at a contact, without power. Needs ``measure-bus``."""
        return self._value(measure="ohms", at=pin)

    def rail_volts(self, rail: str) -> float:
        """Voltage of a rail, by its monitor."""
        return self._value(measure="volts", rail=rail)

    def rail_amps(self, rail: str) -> float:
        """Current of a rail, by its monitor."""
        return self._value(measure="amps", rail=rail)

    def frequency(self, pin: Pin, window: float = 0.02) -> float:
        """Frequency at a contact, hertz; 0 for a level that does not move. Needs ``measure-bus``."""
        return self._value(measure="frequency", at=pin, window=_seconds(window))

    def duty(self, pin: Pin, window: float = 0.02) -> float:
        """Share of the period that a contact is high, percent. Needs ``measure-bus``."""
        return self._value(measure="duty", at=pin, window=_seconds(window))

    def source(self, pin: Pin, volts: float) -> float:
        """Holds a contact at about this voltage; returns the voltage there. Needs ``measure-bus``."""
        return self._value(source=f"{volts!r} V", at=pin)

    # The module.

    def port(self, pin: Pin, to: str) -> None:
        """Sets a port of the module: high, low, input, pull-up or pull-down. Needs ``ports``."""
        self.request(port=pin, to=to)

    def read_port(self, pin: Pin) -> bool:
        """Whether a port of the module reads high. Needs ``ports``."""
        return self._value(read_port=pin) == 1.0

    def adc(self, pin: Pin) -> float:
        """Reads an analog input of the module, volts. Needs ``ports``."""
        return self._value(adc=pin)

    def pwm(self, pin: Pin, frequency: int, duty: float) -> None:
        """Lets the module output PWM; duty in percent. Needs ``ports``."""
        self.request(pwm=pin, frequency=f"{frequency} Hz", duty=f"{duty!r} %")

    def pwm_off(self) -> None:
        """Ends PWM. Needs ``ports``."""
        self.request(pwm="off")

    def i2c(self, peer: str, write: bytes = b"", read: int = 0) -> bytes:
        """Transfers bytes to and from a part of the fixture. Needs ``ports``, ``peers`` and ``nails``."""
        return self.request(i2c=peer, write=write.hex(), read=read).data

    def spi(self, peer: str, write: bytes = b"", read: int = 0) -> bytes:
        """Transfers bytes to and from a part of the fixture. Needs ``ports``, ``peers`` and ``nails``."""
        return self.request(spi=peer, write=write.hex(), read=read).data

    def modem(self, command: str, within: float = 1.0) -> str:
        """Sends an AT command; returns the lines of the answer. Needs ``modem``."""
        return self.request(modem=command, within=_seconds(within)).text or ""

    def ble_scan(self, window: float = 1.0) -> str:
        """Addresses and signal strengths of the devices near the bench. Needs ``radio``."""
        return self.request(ble="scan", window=_seconds(window)).text or ""

    def nfc_find(self) -> bytes:
        """Identifier of the tag in the reader's field; empty without one. Needs ``nfc``."""
        self.request(nfc="on")
        return self.request(nfc="find").data

    def nfc_exchange(self, data: bytes) -> bytes:
        """Sends a command to the tag that was found. Needs ``nfc``."""
        return self.request(nfc="exchange", data=data.hex()).data

    # The run.

    def wait(self, seconds: float) -> None:
        """Waits in the time of the bench; ``time.sleep`` would wait in the time of the wall."""
        self.request(wait=_seconds(seconds))

    def time(self) -> float:
        """Time of the bench, seconds since the run began."""
        return self._value(time=True)

    def note(self, text: str) -> None:
        """Writes a note into the record."""
        self.request(note=text)

    def measured(self, name: str, value: Optional[float]) -> None:
        """Delivers a measurement that the plan promises. None is one that could not be taken: an error."""
        self.request(measured=name, value=value)

    def diagnose(self, text: str, at: Sequence[Pin] = ()) -> None:
        """Says what is wrong with the module, and at which contacts."""
        self.request(diagnose=text, at=list(at))

    def attach(self, name: str, path: Optional[str] = None) -> None:
        """Keeps a copy of a file in the record of the run."""
        self.request(attach=name, path=path if path is not None else name)

    def progress(self, share: float, what: str = "at work") -> None:
        """Shows how far the program is, from 0 to 1."""
        self.request(progress=share, what=what)

    def ask(self, question: str) -> bool:
        """Asks the operator, yes or no. Needs ``operator``."""
        return self._value(ask=question) == 1.0

    def choose(self, question: str, choices: Sequence[str]) -> str:
        """Lets the operator choose. Needs ``operator``."""
        return self.request(ask=question, choices=list(choices)).text or ""


def _seconds(span: float) -> str:
    return f"{span!r} s"


def connect(source: IO[str], sink: IO[str]) -> Bench:
    """Reads the first line of the bench."""
    line = source.readline()
    if not line:
        raise ProtocolError("no bench: the program of a step is started by `bench run`")
    hello: Mapping[str, Any] = json.loads(line)
    if hello.get("protocol") != PROTOCOL:
        raise ProtocolError(f"the bench speaks protocol {hello.get('protocol')}, this package {PROTOCOL}")
    measurements = [Measurement(m["name"], m["unit"], m["min"], m["max"]) for m in hello["measurements"]]
    return Bench(
        step=hello["step"],
        attempt=hello["attempt"],
        serial=hello["serial"],
        model=hello["model"],
        family=hello["family"],
        fixture=hello["fixture"],
        measurements=measurements,
        parameters=dict(hello["parameters"]),
        _from=source,
        _to=sink,
    )


@contextmanager
def step() -> Iterator[Bench]:
    """The bench of this step. An exception ends the program with code 1 and a line in the log: the step is an error."""
    sink = sys.stdout
    # A `print` in the program or in a library goes into the log, and does not break the protocol.
    sys.stdout = sys.stderr
    try:
        yield connect(sys.stdin, sink)
    finally:
        sys.stdout = sink
