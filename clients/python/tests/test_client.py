"""Tests of the package against a scripted bench: `python3 -m unittest discover -s clients/python`."""

import io
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

import bench_client  # noqa: E402

HELLO = {
    "protocol": 1,
    "step": "divider",
    "attempt": 1,
    "serial": "P042AN0000DEMO1",
    "model": "b404x",
    "family": "b4xx",
    "fixture": "b-series",
    "measurements": [{"name": "divider", "unit": "V", "min": 1.6, "max": 1.7}],
    "parameters": {"pin": "A0"},
}


def talk(*replies, hello=None):
    """A bench that gives these replies, and where the requests go."""
    lines = [json.dumps(hello or HELLO)] + [json.dumps(reply) for reply in replies]
    sink = io.StringIO()
    return bench_client.connect(io.StringIO("\n".join(lines) + "\n"), sink), sink


class Client(unittest.TestCase):
    def test_hello(self):
        bench, _ = talk()
        self.assertEqual(bench.step, "divider")
        self.assertEqual(bench.parameters, {"pin": "A0"})
        self.assertEqual(bench.measurements, [bench_client.Measurement("divider", "V", 1.6, 1.7)])

    def test_requests(self):
        done = {"unit": "V"}
        rows = [
            (lambda b: b.rail("3V3", True), {"rail": "3V3", "on": True}, {}, None),
            (lambda b: b.drive("D4", False), {"drive": "D4", "high": False}, {}, None),
            (lambda b: b.release(), {"release": "all"}, {}, None),
            (lambda b: b.read(66), {"read": 66}, {"value": 1.0}, True),
            (lambda b: b.volts("A0"), {"measure": "volts", "at": "A0"}, {"value": 1.65, **done}, 1.65),
            (lambda b: b.ohms(36), {"measure": "ohms", "at": 36}, {"value": 9.0}, 9.0),
            (lambda b: b.rail_amps("3V3"), {"measure": "amps", "rail": "3V3"}, {"value": 0.01}, 0.01),
            (lambda b: b.source("A0", 1.5), {"source": "1.5 V", "at": "A0"}, {"value": 1.4}, 1.4),
            (lambda b: b.wait(0.005), {"wait": "0.005 s"}, {}, None),
            (lambda b: b.i2c("m", b"\x00\x10", 2), {"i2c": "m", "write": "0010", "read": 2}, {"bytes": "ab cd"}, b"\xab\xcd"),
            (lambda b: b.modem("AT"), {"modem": "AT", "within": "1.0 s"}, {"text": "OK"}, "OK"),
            (lambda b: b.measured("divider", None), {"measured": "divider", "value": None}, {}, None),
            (lambda b: b.diagnose("bent", ["A0"]), {"diagnose": "bent", "at": ["A0"]}, {}, None),
        ]
        for number, (call, request, reply, expected) in enumerate(rows):
            bench, sink = talk({"id": 1, **reply})
            with self.subTest(row=number):
                self.assertEqual(call(bench), expected)
                self.assertEqual(json.loads(sink.getvalue()), {"id": 1, **request})

    def test_errors(self):
        rows = [
            ("request", bench_client.RequestError),
            ("bench", bench_client.BenchFault),
            ("module", bench_client.ModuleFault),
            ("new", bench_client.BenchError),
        ]
        for kind, error in rows:
            bench, _ = talk({"id": 1, "error": "no pin", "kind": kind, "help": "did you mean A0?"})
            with self.subTest(kind=kind), self.assertRaisesRegex(error, "no pin .did you mean A0"):
                bench.volts("A99")

    def test_a_broken_bench(self):
        with self.assertRaises(bench_client.ProtocolError):
            talk(hello={**HELLO, "protocol": 2})
        bench, _ = talk({"id": 7})
        with self.assertRaises(bench_client.ProtocolError):
            bench.wait(1)
        bench, _ = talk()
        with self.assertRaises(bench_client.ProtocolError):
            bench.wait(1)

    def test_nan_is_never_sent(self):
        bench, sink = talk()
        with self.assertRaises(ValueError):
            bench.measured("divider", float("nan"))
        self.assertEqual(sink.getvalue(), "")

    def test_print_does_not_break_the_protocol(self):
        stdin, stdout, stderr = sys.stdin, sys.stdout, sys.stderr
        try:
            sys.stdin, sys.stdout, sys.stderr = io.StringIO(json.dumps(HELLO) + "\n"), io.StringIO(), io.StringIO()
            with bench_client.step():
                print("a remark")
            said, logged = sys.stdout.getvalue(), sys.stderr.getvalue()
        finally:
            sys.stdin, sys.stdout, sys.stderr = stdin, stdout, stderr
        self.assertEqual((said, logged), ("", "a remark\n"))


if __name__ == "__main__":
    unittest.main()
