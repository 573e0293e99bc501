"""Compares the pull-ups of two pins: a program of a step of kind `external`."""

from bench_client import step

with step() as bench:
    bench.rail("3V3", True)
    low = {}
    for pin in bench.parameters["pins"]:
        bench.port(pin, "pull-up")
        bench.drive(pin, False)
        bench.wait(0.005)
        low[pin] = bench.volts(pin)
    bench.measured("A0_low", low["A0"])
    bench.measured("ratio", low["A0"] / low["D4"])
